"""Reading a vehicle that answers: rounds on the grid, a row for each, a mark for what could not be read."""

import asyncio
from collections.abc import Callable

from edge.sensors.base import SensorSink
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.decode import raw_values
from edge.sensors.obd.elm import Elm, is_vehicle_away
from edge.sensors.obd.errors import AdapterSilent, BadAnswer, BusError, ObdError
from edge.sensors.obd.faults import FaultWatch
from edge.sensors.obd.maker import MakerReading
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.mending import Mending
from edge.sensors.obd.schedule import Group, batches, groups_of
from edge.sensors.obd.supply import Supply
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle
from sync_protocol.messages import MarkKind
from sync_protocol.signals import Signal, catalogue

BATTERY = catalogue().by_name["battery_v"]
_STATUS_IDS = (catalogue().by_name["is_mil_on"].id, catalogue().by_name["dtc_count"].id)
_RPM_ID = catalogue().by_name["engine_rpm"].id
_AWAY_ROUNDS = 3
_WATCH_S = 0.1  # between two readings of the voltage while a start may come


class Measuring:
    """One stay of a vehicle. `rows` and `errors` are counts for the sensor's state."""

    def __init__(
        self,
        config: ObdConfig,
        elm: Elm,
        vehicle: Vehicle,
        memory: Memory,
        supply: Supply,
        faults: FaultWatch,
        clock: Callable[[], int],
        maker: MakerReading | None = None,
    ) -> None:
        self._elm = elm
        self._vehicle = vehicle
        self._memory = memory
        self._supply = supply
        self._is_engine_off = False
        self._faults = faults
        self._clock = clock
        self.groups = groups_of(_wanted(config, vehicle), config.periods_s)
        for group in self.groups:
            group.batches = batches(group.pids, vehicle.owner, vehicle.batch_size)
        self._mending = Mending(clock)
        self._away_rounds = 0
        self._silences = 0
        self._maker = maker
        self.on_answer: Callable[[], None] | None = None  # called once, when the vehicle has answered a round's request
        self.rows = 0
        self.last_row_ms: int | None = None
        self.errors: dict[str, int] = {}
        self.last_error = ""

    @property
    def signal_count(self) -> int:
        """How many signals are read."""
        own = 0 if self._maker is None else self._maker.signal_count
        return own + sum(len(group.signals) for group in self.groups)

    async def run(self, sink: SensorSink) -> str:
        """Measure until the vehicle rests or does not answer; the reason. Raises when the adapter fails."""
        while True:
            now_ms = self._clock()
            due = [(group, at) for group in self.groups if (at := group.take_due(now_ms)) is not None]
            if self._maker is not None:
                self.rows += await self._maker.read_due(sink)
            if not due:
                next_ms = min(group.next_ms(now_ms) for group in self.groups)
                if self._maker is not None and (maker_ms := self._maker.next_ms(now_ms)) is not None:
                    next_ms = min(next_ms, maker_ms)
                await self._idle(max(1, next_ms - now_ms) / 1000, sink)
                continue
            self._mending.take_up()
            for group, instant_ms in due:
                await self._read(group, instant_ms, sink)
            if self._away_rounds >= _AWAY_ROUNDS:
                return "no_answer"
            if self._supply.ignition.should_rest(self._clock()):
                return "ignition_off"
            await self._faults.check(self._vehicle, sink)

    async def _idle(self, wait_s: float, sink: SensorSink) -> None:
        """Wait for the next round. With the engine off a start may come, whose lowest voltage is over in a moment."""
        if self._is_engine_off and wait_s > _WATCH_S:
            await self._voltage(sink)
            wait_s = _WATCH_S
        await asyncio.sleep(wait_s)

    async def _read(self, group: Group, instant_ms: int, sink: SensorSink) -> None:
        values: dict[int, int] = {}
        begun_ms, asked, is_answered = self._clock(), 0, False
        error: ObdError | None = None
        for batch in group.round():
            if asked and self._clock() - begun_ms > group.budget_ms():
                break
            asked += 1
            signals = [s for s in group.signals if s.pid in batch]
            try:
                answers = await self._vehicle.read(batch)
            except (*REQUEST_ERRORS, AdapterSilent) as err:
                self._note(err)
                error = err
                sink.mark([s.id for s in signals], instant_ms, _mark_kind(err))
                self._failed(group, batch)
                continue
            is_answered, self._silences = True, 0
            if self.on_answer is not None:
                self.on_answer()
                self.on_answer = None
            values.update(raw_values(answers, signals))
            lacking = [s.id for s in signals if s.pid not in answers]
            if lacking:
                sink.mark(lacking, instant_ms, "no_data")
                self._failed(group, batch)
            else:
                self._mending.worked(batch)
        group.asked(asked)
        self._judge_round(asked, is_answered, error)
        if BATTERY in group.signals:
            battery_v = await self._voltage(sink)
            values.update({} if battery_v is None else {BATTERY.id: BATTERY.raw(battery_v)})
        if values:
            sink.row(group.name, instant_ms, values)
            self.rows += 1
            self.last_row_ms = instant_ms
        is_used = self._supply.ignition.saw_values(values, self._clock())
        if _RPM_ID in values:
            self._is_engine_off = not is_used
        self._faults.saw(values, _STATUS_IDS)

    async def _voltage(self, sink: SensorSink) -> float | None:
        try:
            battery_v = await self._supply.read(self._elm, sink)
        except (*REQUEST_ERRORS, AdapterSilent) as err:
            self._note(err)
            return None
        self._silences = 0
        return battery_v

    def _note(self, error: ObdError) -> None:
        kind = error.kind if isinstance(error, BusError) else type(error).__name__
        self.errors[kind] = self.errors.get(kind, 0) + 1
        self.last_error = str(error)
        if isinstance(error, AdapterSilent):
            self._silences += 1
            if self._silences > 1:
                raise error

    def _judge_round(self, asked: int, is_answered: bool, error: ObdError | None) -> None:
        if not asked:
            return
        self._away_rounds = 0 if is_answered else self._away_rounds + 1
        if self._away_rounds >= _AWAY_ROUNDS and error is not None and not is_vehicle_away(error):
            raise error  # the adapter is confused: set it up anew

    def _failed(self, group: Group, batch: tuple[int, ...]) -> None:
        is_there = not self._away_rounds
        if self._mending.failed(group, batch, is_vehicle_there=is_there, reason=self.last_error) and not is_there:
            self._memory.has_multi_pid = None  # nothing else is answered: find out anew next time


def _wanted(config: ObdConfig, vehicle: Vehicle) -> list[Signal]:
    sizes = catalogue().pid_bytes
    return [
        signal
        for signal in catalogue().signals
        if signal.name not in config.skip
        and ((signal.pid in vehicle.owner and signal.pid in sizes) or signal is BATTERY)
    ]


def _mark_kind(error: ObdError) -> MarkKind:
    if isinstance(error, BusError):
        return "no_data" if error.kind == "no_data" else "bus_error"
    return "invalid" if isinstance(error, BadAnswer) else "bus_error"
