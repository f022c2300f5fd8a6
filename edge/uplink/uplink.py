"""Sends frames, listens to the cloud, and never gives up. One connection after the other."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from edge.clock import Clock
from edge.health import Counters, StageHealth
from edge.uplink.backoff import Backoff
from edge.uplink.config import UplinkConfig
from edge.uplink.link import Connect, Link
from edge.uplink.policy import Policy
from edge.uplink.pull import Pulls
from edge.uplink.sender import Sender
from edge.uplink.source import Change, Source, Vehicle
from edge.uplink.state import LinkWord, UplinkState
from edge.uplink.traffic import Traffic
from edge.uplink.window import Window
from sync_protocol.errors import Denied, Rejected, Unavailable
from sync_protocol.ledger import Ranges
from sync_protocol.messages import (
    Ack,
    Command,
    Hello,
    HelloAnswer,
    StreamState,
    decode_down,
    encode_hello,
)

_IDLE_S = 1.0
_CLOGGED_S = 0.02
_MOST_UNSENT_BYTES = 32_768  # what a new frame may find before it on its way out
_CHECK_S = 5.0
_QUIET_S = 120.0  # what is sent is watched by the kernel: only a link without any is asked for a sign of life
_STEADY_S = 30.0

log = structlog.get_logger()


class _Asked(msgspec.Struct, frozen=True):
    at_ms: int
    streams: tuple[StreamState, ...]


Refusal = Callable[[Command], Awaitable[str | None]]
"""Why a command is not obeyed; None when it is."""


class Uplink:
    """The sending side of the promise: a frame is offered until an acknowledgement of the cloud itself has come."""

    def __init__(
        self,
        config: UplinkConfig,
        clock: Clock,
        source: Source,
        vehicle: Vehicle,
        connect: Connect,
        *,
        version: str,
        boot: int,
        policy: Policy | None = None,
        pulls: Pulls | None = None,
        is_watched: Callable[[], bool] = lambda: False,
        vin: Callable[[], str | None] = lambda: None,
        refusal: Refusal | None = None,
        on_change: Callable[[Change], None] = lambda _: None,
    ) -> None:
        """`on_change` is told when an answer started a new stream, forked or un-acknowledged frames.

        While `is_watched` frames do not wait for each other. `refusal` judges commands before they are obeyed.
        """
        self._config = config
        self._clock = clock
        self._source = source
        self._vehicle = vehicle
        self._connect = connect
        self._version = version
        self._boot = boot
        self._pulls = pulls
        self.policy = policy or Policy(config.policy, Traffic(config.policy.budget_day))
        self._vin = vin
        self._refusal = refusal
        self._on_change = on_change
        self._window = Window(
            config.window_frames, round(1000 * config.ack_timeout_s), round(1000 * config.ack_timeout_max_s)
        )
        self._backoff = Backoff(config.retry_s, config.retry_max_s)
        self._wake = asyncio.Event()
        self._answered = asyncio.Event()
        self._asked: list[_Asked] = []
        self._suspect: dict[bytes, Ranges] | None = None
        self._counters = Counters()
        self._sender = Sender(
            clock, source, self.policy, self._window, self._counters, boot=boot, pulls=pulls, is_watched=is_watched
        )
        self._link: LinkWord = "connecting" if config.enabled else "disabled"
        self._detail = "not tried yet" if config.enabled else "switched off in the configuration"
        self._since_ms = clock.boot_ms()
        self._last_ack_ms = 0
        self._last_answer_ms = 0
        self._last_hello_ms = 0
        self._last_sign_ms = 0
        self._is_asking = False
        self._hello_bytes = 0
        self._bytes_down = 0

    def notify(self) -> None:
        """There is a new frame in the outbox."""
        self._wake.set()

    def ask(self) -> None:
        """Have everything acknowledged as soon as it is sent, not with frames that may never come."""
        self._is_asking = True
        self._wake.set()

    def state(self) -> UplinkState:
        """The link and its figures now."""
        return UplinkState(
            self._link,
            self._detail,
            self._since_ms,
            self._last_ack_ms,
            self._last_answer_ms,
            len(self._window),
            self._sender.frames,
            self._sender.again,
            self._sender.bytes_up + self._hello_bytes,
            self._bytes_down,
        )

    def health(self) -> StageHealth:
        """Counts of frames: taken from the outbox, acknowledged, on the way."""
        return self._counters.health(len(self._window))

    async def run(self) -> None:
        """Connect, send, reconnect, until cancelled."""
        while True:
            try:
                link = await self._connect()
            except Unavailable as err:
                self._turn("connecting", str(err))
                await asyncio.sleep(self._backoff.next_s())
                continue
            except Denied as err:
                self._turn("refused", str(err))
                await asyncio.sleep(self._config.refused_retry_s)
                continue
            self._turn("connected", "")
            opened_ms = self._clock.boot_ms()
            self.policy.connected(link.channel(), opened_ms)
            try:
                await self._session(link)
            finally:
                self._meter()
                await link.close()
            if self._clock.boot_ms() - opened_ms >= 1000 * _STEADY_S:
                self._backoff.reset()
            await asyncio.sleep(self._backoff.next_s())

    def _turn(self, link: LinkWord, detail: str) -> None:
        """Say it once on loss and once on recovery."""
        if link != self._link or (link != "connected" and not self._detail) or self._detail == "not tried yet":
            log.info(f"uplink_{'lost' if link == 'connecting' else link}", detail=detail)
            self._since_ms = self._clock.boot_ms()
        self._link, self._detail = link, detail

    def _meter(self) -> None:
        now_ms = self._clock.boot_ms()
        utc_ms, source = self._vehicle.utc(now_ms)
        self.policy.tick(now_ms, utc_ms if source in ("gps", "ntp", "cloud") else None)

    async def _session(self, link: Link) -> None:
        tasks = {asyncio.create_task(self._receive(link)), asyncio.create_task(self._send(link))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Unavailable):
                self._turn("connecting", str(result))
            elif isinstance(result, Exception):
                raise result

    async def _send(self, link: Link) -> None:
        self._asked.clear()
        self._answered.clear()
        self._sender.begin()
        await self._say_hello(link)
        try:
            async with asyncio.timeout(self._config.hello_wait_s):
                await self._answered.wait()
        except TimeoutError:
            log.info("hello_unanswered", wait_s=self._config.hello_wait_s)
        while True:
            self._wake.clear()
            self._meter()
            is_clogged = link.unsent_bytes() > _MOST_UNSENT_BYTES
            sent = 0 if is_clogged else await self._sender.fill(link, is_pressing=self._is_asking)
            now_ms = self._clock.boot_ms()
            if self._window.expire(now_ms):
                await link.check(_CHECK_S)
                continue
            oldest_ms, patience_ms = self._window.oldest_ms(), 1000 * self._config.hello_after_s
            is_late = oldest_ms is not None and now_ms - max(oldest_ms, self._last_hello_ms) > patience_ms
            if is_late or (self._is_asking and not sent and not is_clogged):
                self._is_asking = False
                await self._say_hello(link)
            if sent:
                self._last_sign_ms = now_ms
            elif now_ms - self._last_sign_ms >= 1000 * _QUIET_S:
                await link.check(self._config.unacked_s)
                self._last_sign_ms = now_ms
            if not sent:
                await (asyncio.sleep(_CLOGGED_S) if is_clogged else self._sleep_until_woken())

    async def _sleep_until_woken(self) -> None:
        try:
            async with asyncio.timeout(_IDLE_S):  # wait_for can swallow a cancellation that comes with the event
                await self._wake.wait()
        except TimeoutError:
            return

    async def _say_hello(self, link: Link) -> None:
        streams = await self._source.hello_streams()
        gone = self._window.forget_evicted(streams)
        if gone:
            self._counters.dropped["evicted"] += gone
        now_ms = self._clock.boot_ms()
        utc_ms, source = self._vehicle.utc(now_ms)
        hello = Hello(self._version, self._boot, now_ms, streams, utc_ms, source, vin=self._vin())
        self._asked.append(_Asked(now_ms, streams))
        self._last_hello_ms = self._last_sign_ms = now_ms
        data = encode_hello(hello)
        await link.publish(data)
        self._hello_bytes += len(data)
        self.policy.count("hello", up=len(data))

    async def _receive(self, link: Link) -> None:
        while True:
            data = await link.receive()
            self._bytes_down += len(data)
            try:
                message = decode_down(data)
            except Rejected as err:
                self._counters.errors["rejected"] += 1
                self.policy.count("overhead", down=len(data))
                log.warning("message_rejected", reason=str(err))
                continue
            if isinstance(message, Ack):
                self.policy.count("ack", down=len(data))
                await self._on_ack(message)
            elif isinstance(message, HelloAnswer):
                self.policy.count("answer", down=len(data))
                await self._on_answer(message)
            else:
                self.policy.count("command", down=len(data))
                await self._on_command(message)
            self._wake.set()

    async def _on_ack(self, ack: Ack) -> None:
        ours = await self._source.ack(ack.stream_id, ack.ranges)
        self._counters.sent += self._window.done(ack.stream_id, ours)
        if self._pulls is not None:
            self._pulls.acknowledged(ack.stream_id, ours)
        if len(ours) < len(ack.ranges):
            self._counters.errors["ack_of_other_frames"] += len(ack.ranges) - len(ours)
        self._last_ack_ms = self._clock.boot_ms()
        if ack.forked:
            change = await self._source.fork(ack.stream_id, ack.forked)
            self._told(change)
            gone = self._window.done(ack.stream_id, [(seq, seq) for seq in change.forked])
            if self._pulls is not None:
                self._pulls.gone((ack.stream_id, seq) for seq in change.forked)
            if gone:
                self._counters.dropped["forked"] += gone

    async def _on_answer(self, answer: HelloAnswer) -> None:
        now_ms = self._clock.boot_ms()
        self._last_answer_ms = now_ms
        if not self._asked:
            return
        asked = self._asked.pop(0)
        if self._suspect is None:
            self._suspect = {s.stream_id: Ranges([*s.stored, *s.quarantined]) for s in answer.streams}
        for stream in answer.streams:
            for seq in stream.forked:  # ours or a clone's: only the acknowledgement of our very frame tells
                self._suspect.setdefault(stream.stream_id, Ranges()).add(seq)
        proven = self._window.proven(asked.at_ms, self._suspect)
        self._told(await self._source.answer(asked.streams, answer.streams, proven))
        for stream in answer.streams:
            stored = Ranges([*stream.stored, *stream.quarantined])
            arrived = [pair for pair in proven.get(stream.stream_id, ()) for pair in _common(stored, *pair)]
            self._counters.sent += self._window.done(stream.stream_id, arrived)
            if self._pulls is not None:
                self._pulls.acknowledged(stream.stream_id, arrived)
        self._window.not_arrived(asked.at_ms)
        self._sender.shorten(stream.stream_id for stream in answer.streams if answer.reads_short)
        self._vehicle.cloud_time(now_ms, answer.utc_ms, max(1, now_ms - asked.at_ms))
        self._backoff.reset()
        self._answered.set()

    def _told(self, change: Change) -> None:
        if change.again or change.forked or change.new_stream:
            log.warning(
                "cloud_disagreed", again=change.again, forked=len(change.forked), new_stream=change.new_stream or "no"
            )
            self._on_change(change)

    async def _on_command(self, command: Command) -> None:
        utc_ms, _ = self._vehicle.utc(self._clock.boot_ms())
        reason = None if self._refusal is None else await self._refusal(command)
        if reason is not None:
            self._counters.errors[f"command_{reason}"] += 1
            log.warning("command_refused", kind=command.kind, number=command.number, reason=reason)
        elif utc_ms is not None and command.expires_utc_ms < utc_ms:
            self._counters.errors["command_expired"] += 1
        elif command.kind == "watch" and not self.policy.may_watch:
            self._counters.errors["watch_over_budget"] += 1
        elif command.kind == "watch":
            lease_s = command.args.get("lease_s", 60)
            self._vehicle.watch(min(float(lease_s), 300.0) if isinstance(lease_s, int | float) else 60.0)
        elif self._pulls is None or not self._pulls.command(command):
            self._counters.errors["command_unknown"] += 1
            log.warning("command_refused", kind=command.kind)


def _common(stored: Ranges, first: int, last: int) -> list[tuple[int, int]]:
    return list(stored.missing(first, last).missing(first, last))
