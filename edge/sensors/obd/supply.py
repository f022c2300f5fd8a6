"""Reads the supply voltage at the plug, which sends nothing to the vehicle, and hears what it says of its use."""

from collections.abc import Callable
import random

import structlog

from edge.sensors.base import SensorSink
from edge.sensors.obd.battery import Battery
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.ignition import Ignition

log = structlog.get_logger(__name__)


class Supply:
    """What the voltage says of ignition and battery. Outlives the adapter, which may be lost while cranking."""

    def __init__(self, config: ObdConfig, clock: Callable[[], int], rng: random.Random) -> None:
        """`clock` gives boot_ms, `rng` jitters waits."""
        self._clock = clock
        self.ignition = Ignition(config, clock(), rng)
        self.battery = Battery(config, clock())

    async def read(self, elm: Elm, sink: SensorSink) -> float | None:
        """The voltage now, or None where the adapter cannot tell. Events are handed to `sink`."""
        ignition, battery = self.ignition, self.battery
        battery_v, now_ms = await elm.voltage_v(), self._clock()
        had_moved = ignition.has_moved
        ignition.saw_voltage(battery_v, now_ms)
        if ignition.has_moved and not had_moved:
            battery.expect_start(now_ms)
        if battery_v is not None:
            for kind, data in battery.saw(battery_v, now_ms, scale=ignition.scale, used_ms=ignition.used_ms):
                sink.event(kind, now_ms, data)
                log.info(kind, **data)
        return battery_v

    def should_ask(self) -> bool:
        """Whether a resting vehicle may be asked now."""
        return self.ignition.should_ask(self._clock(), self.battery.level)
