"""A vehicle at rest: the voltage is watched, and the vehicle asked only when something speaks for its use."""

import asyncio
from collections.abc import Callable

from edge.sensors.base import LinkState, SensorSink
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.elm import Elm, is_vehicle_away
from edge.sensors.obd.errors import BadAnswer
from edge.sensors.obd.measure import BATTERY
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.supply import Supply
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle

_BAD_READINGS = 3


class Resting:
    """`say` is told what the link has come to; `rows` counts the samples of the voltage."""

    def __init__(
        self,
        config: ObdConfig,
        memory: Memory,
        supply: Supply,
        clock: Callable[[], int],
        say: Callable[[LinkState, str], None],
    ) -> None:
        self._memory = memory
        self._supply = supply
        self._clock = clock
        self._say = say
        self._period_ms = max(1, round(config.voltage_period_s * 1000))
        self._group = f"obd_{config.periods_s.get(BATTERY.name, BATTERY.period_s):g}s"
        self.rows = 0

    async def wait(self, elm: Elm, sink: SensorSink, *, must_be_used: bool) -> Vehicle:
        """Until a vehicle answers, and is in use if it `must_be_used`. Asks at once unless it must be."""
        ignition = self._supply.ignition
        await self._supply.read(elm, sink)
        if not must_be_used:
            found = await self._ask(elm, must_be_used)
            if found is not None:
                return found
        ignition.asked(self._clock())
        bad_readings = 0
        while True:
            try:
                await self._watch(elm, sink)
                bad_readings = 0
            except BadAnswer:
                bad_readings += 1
                if bad_readings >= _BAD_READINGS:
                    raise
            if not ignition.is_charging:
                self._say("closed", "")
            if self._supply.should_ask():
                found = await self._ask(elm, must_be_used)
                ignition.asked(self._clock())
                if found is not None:
                    return found

    async def _watch(self, elm: Elm, sink: SensorSink) -> None:
        """Wait for the next reading, and make it a sample where one is due."""
        now_ms, battery = self._clock(), self._supply.battery
        instant_ms = (now_ms // self._period_ms + 1) * self._period_ms
        wait_s = (instant_ms - now_ms) / 1000
        if self._supply.ignition.battery_v is not None:
            wait_s = min(wait_s, battery.poll_s(now_ms)) if battery.level == "good" else battery.poll_s(now_ms)
        await asyncio.sleep(wait_s)
        battery_v = await self._supply.read(elm, sink)
        if battery_v is not None and self._clock() >= instant_ms:
            at_ms = self._clock() // self._period_ms * self._period_ms
            sink.row(self._group, at_ms, {BATTERY.id: BATTERY.raw(battery_v)})
            self.rows += 1

    async def _ask(self, elm: Elm, must_be_used: bool) -> Vehicle | None:
        # Searching is loud on the bus: at the first contact, and when the engine runs but the known protocol is mute.
        is_charging = self._supply.ignition.is_charging
        try:
            vehicle = await Vehicle.find(elm, self._memory, may_search=not self._memory.protocol or is_charging)
            await vehicle.learn_batching()
            if not must_be_used or is_charging or await _is_used(vehicle):
                return vehicle
            self._say("closed", "vehicle rests: engine off")
        except REQUEST_ERRORS as err:
            if not is_vehicle_away(err):
                raise  # the adapter is confused: set it up anew
            if is_charging:
                self._say("failing", f"the engine runs but no computer answers: {err}")
            else:
                self._say("closed", f"vehicle asleep: {err}")
        await elm.let_sleep()
        return None


async def _is_used(vehicle: Vehicle) -> bool:
    for pid in (0x0C, 0x0D):
        if pid in vehicle.owner and any((await vehicle.read((pid,)))[pid]):
            return True
    return False
