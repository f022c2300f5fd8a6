"""The vehicle through python-OBD, for comparison with our own sensor: signals and the voltage, nothing else.

The same groups, instants and raw integers. No trouble codes, no VIN, no profile; a PID at a time, as python-OBD asks.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import random
from typing import Any, TypeVar

import structlog

from edge.sensors.base import Fact, LinkState, SensorSink, SensorState
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.errors import BadAnswer, BusError, ObdError
from edge.sensors.obd.ignition import Ignition
from edge.sensors.obd.measure import BATTERY
from edge.sensors.obd.mending import Mending
from edge.sensors.obd.schedule import Group, groups_of
from edge.sensors.python_obd.connection import Adapter, Connection
from sync_protocol.messages import MarkKind

T = TypeVar("T")

log = structlog.get_logger(__name__)

_AWAY_ROUNDS = 3
_LEAST_WAIT_S = 1.0  # the answer to the reset that python-OBD ends with would land in the next connection


class PythonObdSensor:
    """Reads what python-OBD decodes as the catalogue does. Blocking calls are made in a thread of its own."""

    name = "obd"

    def __init__(self, config: ObdConfig, clock: Callable[[], int], rng: random.Random | None = None) -> None:
        """`clock` gives boot_ms, `rng` jitters waits. `ConfigError` when python-OBD is not installed."""
        self._config = config
        self._clock = clock
        self._rng = rng or random.Random()
        self._connection = Connection(config)
        self._ignition = Ignition(config, clock(), self._rng)
        self._adapter: Adapter | None = None
        self._link: LinkState = "closed"
        self._detail = "not started"
        self._since_ms = clock()
        self._failures = 0
        self._away_rounds = 0
        self._rows = 0
        self._last_row_ms: int | None = None
        self._errors: dict[str, int] = {}
        self._has_told_left_out = False

    def state(self) -> SensorState:
        """`open` while a vehicle answers; `closed` while it sleeps; `failing` when something is wrong."""
        adapter = self._adapter
        facts: dict[str, Fact] = {
            "port": self._config.port,
            "adapter": adapter.identity if adapter else None,
            "reader": "python-OBD",
            "protocol": (adapter.protocol or None) if adapter else None,
            "battery_v": self._ignition.battery_v,
            "rows": self._rows,
        }
        if adapter is not None and adapter.signals:
            facts["signals"] = len(adapter.signals)
            facts["left_out_pids"] = _names(adapter.left_out) or None
            facts["last_row_boot_ms"] = self._last_row_ms
            facts.update({f"errors_{kind}": count for kind, count in self._errors.items()})
        return SensorState(self._link, self._detail, self._since_ms, facts)

    async def run(self, sink: SensorSink) -> None:
        """Measure until cancelled. Every loss ends in another attempt, after a wait that doubles and is jittered."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="python-obd")
        try:
            while True:
                try:
                    await self._use(pool, sink)
                except ObdError as err:
                    self._lose(sink, "adapter_lost", "failing", str(err))
                await self._in(pool, self._connection.close)
                wait_s = min(self._config.retry_max_s, self._config.retry_s * 2 ** min(self._failures, 10))
                self._failures += 1
                await asyncio.sleep(max(_LEAST_WAIT_S, wait_s * self._rng.uniform(0.5, 1.0)))
        except asyncio.CancelledError:
            self._connection.end()
            await self._in(pool, self._connection.close)
            self._connection = Connection(self._config)
            self._become("closed", "stopped")
            raise
        finally:
            pool.shutdown(wait=False)

    async def _use(self, pool: ThreadPoolExecutor, sink: SensorSink) -> None:
        if self._link != "failing":
            self._become("opening", f"opening {self._config.port}")
        adapter = self._adapter = await self._in(pool, self._connection.connect)
        if adapter.signals:
            self._tell_left_out(adapter)
            reason = await self._measure(pool, adapter, sink)
            self._lose(sink, reason, "closed", f"vehicle left alone: {reason}")
        else:
            self._become("closed", "vehicle asleep: no computer answers")
        await self._rest(pool, sink)

    async def _measure(self, pool: ThreadPoolExecutor, adapter: Adapter, sink: SensorSink) -> str:
        """Until the vehicle rests or does not answer; the reason."""
        config = self._config
        wanted = [signal for signal in (*adapter.signals, BATTERY) if signal.name not in config.skip]
        groups = groups_of(wanted, config.periods_s)
        for group in groups:
            group.batches = [(pid,) for pid in group.pids]
        mending = Mending(self._clock)
        self._ignition.woke(self._clock())
        self._away_rounds = 0
        while True:
            now_ms = self._clock()
            due = [(group, at) for group in groups if (at := group.take_due(now_ms)) is not None]
            if not due:
                await asyncio.sleep(max(1, min(group.next_ms(now_ms) for group in groups) - now_ms) / 1000)
                continue
            mending.take_up()
            for group, instant_ms in due:
                await self._read(pool, group, instant_ms, mending, sink)
            if self._away_rounds >= _AWAY_ROUNDS:
                return "no_answer"
            if self._ignition.should_rest(self._clock()):
                return "ignition_off"

    async def _read(
        self, pool: ThreadPoolExecutor, group: Group, instant_ms: int, mending: Mending, sink: SensorSink
    ) -> None:
        values: dict[int, int] = {}
        begun_ms, asked, is_answered = self._clock(), 0, False
        for batch in group.round():
            if asked and self._clock() - begun_ms > group.budget_ms():
                break
            asked += 1
            try:
                values.update(await self._in(pool, self._connection.read, batch[0]))
            except (BusError, BadAnswer) as err:
                kind: MarkKind = "no_data" if isinstance(err, BusError) else "invalid"
                self._errors[kind] = self._errors.get(kind, 0) + 1
                sink.mark([signal.id for signal in group.signals if signal.pid == batch[0]], instant_ms, kind)
                mending.failed(group, batch, is_vehicle_there=not self._away_rounds, reason=str(err))
            else:
                is_answered = True
                mending.worked(batch)
                self._connected(sink)
        group.asked(asked)
        if asked:
            self._away_rounds = 0 if is_answered else self._away_rounds + 1
        wanted_ids = {signal.id for signal in group.signals}
        values = {signal_id: raw for signal_id, raw in values.items() if signal_id in wanted_ids}
        if BATTERY in group.signals and (battery_v := await self._voltage(pool)) is not None:
            values[BATTERY.id] = BATTERY.raw(battery_v)
        if values:
            self._row(sink, group.name, instant_ms, values)
        self._ignition.saw_values(values, self._clock())

    async def _rest(self, pool: ThreadPoolExecutor, sink: SensorSink) -> None:
        """Watch the voltage, which sends nothing to the vehicle, until something speaks for its use."""
        group = f"obd_{self._config.periods_s.get(BATTERY.name, BATTERY.period_s):g}s"
        period_ms = max(1, round(self._config.voltage_period_s * 1000))
        self._failures = 0
        await self._voltage(pool)
        self._ignition.asked(self._clock())
        while not self._ignition.should_ask(self._clock()):
            now_ms = self._clock()
            await asyncio.sleep((period_ms - now_ms % period_ms) / 1000)
            battery_v = await self._voltage(pool)
            if battery_v is not None:
                at_ms = self._clock() // period_ms * period_ms
                self._row(sink, group, at_ms, {BATTERY.id: BATTERY.raw(battery_v)})
        self._ignition.asked(self._clock())

    async def _voltage(self, pool: ThreadPoolExecutor) -> float | None:
        battery_v = await self._in(pool, self._connection.voltage_v)
        self._ignition.saw_voltage(battery_v, self._clock())
        return battery_v

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[..., T], *args: Any) -> T:
        """Run in the thread. Cancelled, what is under way is made to end, and waited for."""
        future = asyncio.get_running_loop().run_in_executor(pool, work, *args)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._connection.end()
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
            raise

    def _row(self, sink: SensorSink, group: str, instant_ms: int, values: dict[int, int]) -> None:
        sink.row(group, instant_ms, values)
        self._rows += 1
        self._last_row_ms = instant_ms

    def _tell_left_out(self, adapter: Adapter) -> None:
        if adapter.left_out and not self._has_told_left_out:
            log.info("python_obd_pids_left_out", pids=_names(adapter.left_out), reason="decoded differently")
        self._has_told_left_out = True

    def _connected(self, sink: SensorSink) -> None:
        adapter = self._adapter
        if self._link == "open" or adapter is None:
            return
        self._become("open", f"{adapter.protocol}, {len(adapter.signals)} signals, by python-OBD")
        data = {"protocol": adapter.protocol, "adapter": adapter.identity}
        sink.event("obd_connected", self._clock(), data)
        log.info("obd_connected", signals=len(adapter.signals), reader="python-OBD", **data)

    def _lose(self, sink: SensorSink, reason: str, link: LinkState, detail: str) -> None:
        if self._link == "open":
            sink.event("obd_lost", self._clock(), {"reason": reason})
            log.info("obd_lost", reason=reason, detail=detail)
            self._failures = 0
        elif link == "failing" and self._link != "failing":
            log.warning("obd_unavailable", reason=detail)
        if link == "failing":
            self._adapter = None
        self._become(link, detail)

    def _become(self, link: LinkState, detail: str) -> None:
        if link != self._link:
            self._since_ms = self._clock()
        self._link, self._detail = link, detail


def _names(pids: list[int]) -> str:
    return " ".join(f"{pid:02X}" for pid in pids)
