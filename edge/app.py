"""The agent: where the stages meet. Sensors -> sampler -> outbox -> uplink, one task each, one process."""

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import structlog

from edge.answers import Answers, Parts
from edge.clock import BUILT_UTC_MS, SystemClock, kernel_boot, machine
from edge.committer import Committer
from edge.config import DeviceConfig
from edge.control import ControlServer
from edge.membership import Membership
from edge.notify import SystemdNotifier
from edge.orders import SignedOrders
from edge.outbox.opening import Identity
from edge.outbox.outbox import Outbox
from edge.outbox.search import OFFSET_KEY
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.sampler import Sampler
from edge.sensing import Sensing
from edge.storage import open_storage
from edge.tap import HeldClock, Tap
from edge.uplink.link import Link, NatsLink
from edge.uplink.policy import Policy
from edge.uplink.pull import Pulls
from edge.uplink.source import Change
from edge.uplink.tls import KnownTime
from edge.uplink.traffic import Traffic
from edge.uplink.uplink import Uplink
from sync_protocol import subjects
from sync_protocol.errors import Denied

ODOMETER_KEY = "odometer_raw"
UTC_KEY = "utc_ms"
TRAFFIC_KEY = "traffic"
_TICK_S = 0.2
_ANCHOR_EVERY_S = 600.0
_FLUSH_EVERY_S = 30.0
_LAST_WORDS_S = 2.0

log = structlog.get_logger()


class Agent:
    """One device at work. `run` returns after `stop` was set and everything measured is committed."""

    def __init__(self, config: DeviceConfig, clock: SystemClock, notifier: SystemdNotifier) -> None:
        self._config = config
        self._clock = clock
        self._notifier = notifier
        self._started_ms = clock.boot_ms()
        self._due = asyncio.Event()
        self._vin: str | None = None
        self._membership = Membership.open(config.state_dir)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. `Conflict`: another agent has the outbox. `Unavailable`, `Full`: no place for one."""
        config = self._config
        identity = Identity(config.tenant, config.device, machine(), kernel_boot())
        self._storage = await open_storage(config, identity)
        self._outbox = self._storage.outbox
        try:
            await self._work(stop)
        except BaseException:
            await self._outbox.close(None)
            raise
        await self._outbox.close("shutdown")

    async def _work(self, stop: asyncio.Event) -> None:
        config = self._config
        boot = await self._outbox.call(lambda outbox: outbox.boot)
        self._boot = boot
        odometer_raw = await self._outbox.call(lambda outbox: outbox.kept(ODOMETER_KEY))
        traffic = await self._outbox.call(lambda outbox: outbox.kept_text(TRAFFIC_KEY))
        self._utc_kept_ms = await self._outbox.call(lambda outbox: outbox.kept(UTC_KEY))
        self._committer = Committer(
            self._outbox, lambda: self._uplink.notify(), keep=self._keep, is_bundled=lambda: self._policy.bundle_s > 0
        )
        held = HeldClock(self._clock)
        self._sampler = Sampler(
            config.sampling,
            held,
            self._put,
            odometer_raw=odometer_raw,
            periods_s=config.obd.periods_s,
            wake=self._due.set,
        )
        self._tap = Tap(self._sampler, held, self._on_event)
        self._sensing = Sensing(config, self._tap, self._clock.boot_ms)
        self._policy = Policy(
            config.uplink.policy,
            Traffic(config.uplink.policy.budget_day, traffic),
            on_event=self._tell,
        )
        self._uplink = Uplink(
            config.uplink,
            self._clock,
            self._outbox,
            self._tap,
            self._connect,
            version=version("milepost"),
            boot=boot,
            policy=self._policy,
            pulls=Pulls(self._outbox, self._tell),
            is_watched=self._sampler.is_watched,
            vin=lambda: self._vin,
            refusal=None if self._membership is None else self._orders(self._membership).refusal,
            on_change=self._on_change,
        )
        await self._tell_start(boot)
        await self._until(stop)

    async def _until(self, stop: asyncio.Event) -> None:
        answers = Answers(self._parts())
        server = ControlServer(self._storage.socket_path, answers.answers(), answers.streams())
        async with asyncio.TaskGroup() as group:
            measuring = [group.create_task(self._sensing.run(), name="sensors")]
            measuring.append(group.create_task(self._keep_time(), name="time"))
            ticking = group.create_task(self._tick(), name="sampling")
            committing = group.create_task(self._committer.run(), name="outbox")
            others = [group.create_task(server.run(), name="control"), group.create_task(self._flush(), name="flush")]
            others.append(group.create_task(self._storage.regain(stop.set), name="storage"))
            if self._config.uplink.enabled:
                others.append(group.create_task(self._uplink.run(), name="uplink"))
                if self._membership is not None:
                    others.append(group.create_task(self._membership.run(self._known_time), name="membership"))
            self._notifier.send("READY=1")
            await stop.wait()
            self._notifier.send("STOPPING=1")
            for task in (*measuring, ticking):
                task.cancel()
            await asyncio.wait((*measuring, ticking))
            self._tap.close()
            self._sampler.event("agent_stopping", self._clock.boot_ms(), {"reason": "shutdown"})
            self._sampler.close()
            await self._committer.drain()
            committing.cancel()
            await self._last_words()
            for task in others:
                task.cancel()
        log.info("agent_stopped")

    async def _last_words(self) -> None:
        """Give what was just committed a moment to arrive; it is safe either way."""
        deadline = asyncio.get_running_loop().time() + _LAST_WORDS_S
        self._uplink.ask()
        while self._uplink.state().link == "connected" and asyncio.get_running_loop().time() < deadline:
            if not (await self._outbox.totals()).pending:
                return
            await asyncio.sleep(0.05)

    async def _tell_start(self, boot: int) -> None:
        def facts(outbox: Outbox) -> dict[str, Any]:
            return {
                "previous_end": outbox.previous.reason,
                "last_boot": outbox.previous.boot,
                "last_boot_ms": outbox.previous.last_boot_ms,
                "new_stream": outbox.new_stream,
                "set_aside": outbox.set_aside.name if outbox.set_aside else None,
            }

        told = await self._outbox.call(facts)
        told["storage_trouble"] = self._storage.trouble
        told["uncommitted_s"] = self._uncommitted_s(str(told["previous_end"]), boot, told)
        log.info("agent_started", tenant=self._config.tenant, device=self._config.device, boot=boot, **told)
        told |= {"boot": boot, "version": version("milepost")}
        self._sampler.event("agent_started", self._clock.boot_ms(), told)

    def _uncommitted_s(self, end: str, boot: int, told: dict[str, Any]) -> float:
        """At most so much was measured and not committed when the run before ended."""
        if end not in ("killed", "power"):
            return 0.0
        period_s = self._config.sampling.frame_period_s
        if told["last_boot"] != boot:
            return period_s
        return min(period_s, max(0.0, (self._started_ms - int(told["last_boot_ms"])) / 1000))

    def _parts(self) -> Parts:
        return Parts(
            config=self._config,
            clock=self._clock,
            started_ms=self._started_ms,
            outbox=self._outbox,
            committer=self._committer,
            sampler=self._sampler,
            tap=self._tap,
            uplink=self._uplink,
            policy=self._policy,
            sensing=self._sensing,
            vin=lambda: self._vin,
            storage_trouble=self._storage.trouble,
        )

    def _orders(self, member: Membership) -> SignedOrders:
        return SignedOrders(self._config.tenant, self._config.device, member.command_keys, self._outbox)

    async def _connect(self) -> Link:
        config = self._config
        up, down = subjects.up(config.tenant, config.device), subjects.down(config.tenant, config.device)
        known, member = self._known_time(), self._membership
        try:
            return await NatsLink.connect(config.uplink, up, down, config.device, known, member)
        except Denied:
            if member is None:
                raise
        await member.renew(known)  # the token may have ended long ago; a device that was locked out gets none
        return await NatsLink.connect(config.uplink, up, down, config.device, known, member)

    def _known_time(self) -> KnownTime:
        """UTC for judging certificates: true, or the newest that has surely passed. An unset RTC may say anything."""
        utc_ms, source = self._sampler.utc(self._clock.boot_ms())
        if utc_ms is not None and source in ("gps", "ntp", "cloud"):
            return KnownTime(utc_ms, is_certain=True)
        return KnownTime(max(BUILT_UTC_MS, self._utc_kept_ms), is_certain=False)

    def _keep(self) -> dict[str, int | str]:
        """What rides in each frame's commit, so that it outlives a kill without a commit of its own."""
        known = self._known_time()
        kept: dict[str, int | str] = {TRAFFIC_KEY: self._policy.to_keep()}
        boot_ms = self._clock.boot_ms()
        utc_ms, _ = self._sampler.utc(boot_ms)
        if utc_ms is not None:
            kept[f"{OFFSET_KEY}{self._boot}"] = utc_ms - boot_ms
        return kept | ({UTC_KEY: known.utc_ms} if known.is_certain else {})

    def _put(self, frame: ClosedFrame) -> None:
        self._tap.frame(frame)
        self._committer.put(frame)

    def _tell(self, kind: str, data: dict[str, Any]) -> None:
        self._tap.event(kind, self._clock.boot_ms(), data)

    def _on_change(self, change: Change) -> None:
        if change.new_stream or change.forked:
            data = {"new_stream": change.new_stream, "forked": len(change.forked)}
            self._tap.event("stream_changed", self._clock.boot_ms(), data)

    def _on_event(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "vin_read":
            self._vin = str(data.get("vin")) or None

    async def _tick(self) -> None:
        """The heartbeat: closes frames in time, and is what systemd's watchdog listens to."""
        while True:
            self._tap.tick()
            self._notifier.send("WATCHDOG=1")
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._due.wait()
            except TimeoutError:
                continue
            self._due.clear()

    async def _keep_time(self) -> None:
        while True:
            self._tap.anchor(self._clock.anchor())
            await asyncio.sleep(_ANCHOR_EVERY_S)

    async def _flush(self) -> None:
        """Acknowledgements ride in a frame's commit; only where no frame comes they cost the card one of their own."""
        committed = 0
        while True:
            await asyncio.sleep(_FLUSH_EVERY_S)
            if committed == (committed := self._committer.health().sent):
                await self._outbox.flush()


def stop_on(stop: asyncio.Event, signals: tuple[int, ...], loop: asyncio.AbstractEventLoop) -> None:
    """Set `stop` when one of these signals comes."""
    ask: Callable[[], None] = stop.set
    for number in signals:
        loop.add_signal_handler(number, ask)
