"""Whether the vehicle is in use, so that a parked one is left to sleep. Pure; times are boot_ms, voltages at the plug.

A parked vehicle whose bus is kept busy drains its battery and may sound its alarm. So once the engine has been off
for a while nothing is sent to the vehicle: only the adapter's own voltage is watched, and a rare question asked.
"""

from collections.abc import Mapping
import random

from edge.sensors.obd.config import ObdConfig
from sync_protocol.signals import catalogue

_RPM = catalogue().by_name["engine_rpm"].id
_SPEED = catalogue().by_name["speed_kmh"].id
_STEP_V = 0.3  # doors, key and starter move the resting voltage by more than this between two polls
_ABOVE_12_V = 18.0


class Ignition:
    """Signs of use, as they come in."""

    def __init__(self, config: ObdConfig, now_ms: int) -> None:
        self._config = config
        self._used_ms = now_ms
        self._asked_ms = now_ms
        self._moved = False
        self._patience = random.uniform(0.9, 1.1)
        self.battery_v: float | None = None

    @property
    def is_charging(self) -> bool:
        """Whether the voltage says that an alternator or converter is at work."""
        if self.battery_v is None:
            return False
        return self.battery_v >= self._config.charging_v * (2 if self.battery_v > _ABOVE_12_V else 1)

    def saw_voltage(self, battery_v: float | None, now_ms: int) -> None:
        """A reading of the adapter; None where it has none."""
        if battery_v is not None and self.battery_v is not None:
            self._moved = self._moved or abs(battery_v - self.battery_v) >= _STEP_V
        self.battery_v = battery_v
        if self.is_charging:
            self._used_ms = now_ms

    def saw_values(self, values: Mapping[int, int], now_ms: int) -> bool:
        """Raw values of the vehicle. Whether they show that it is in use."""
        is_used = values.get(_RPM, 0) > 0 or values.get(_SPEED, 0) > 0
        if is_used:
            self._used_ms = now_ms
        return is_used

    def woke(self, now_ms: int) -> None:
        """The vehicle answers anew: the time to leave it alone starts again."""
        self._used_ms = now_ms

    def should_rest(self, now_ms: int) -> bool:
        """Whether the engine has been off long enough to stop asking."""
        return now_ms - self._used_ms >= self._config.quiet_after_s * 1000

    def should_ask(self, now_ms: int) -> bool:
        """Whether a resting vehicle may be asked: the voltage speaks for it, or it was long not asked."""
        waited_s = (now_ms - self._asked_ms) / 1000
        if waited_s < self._config.probe_spacing_s:
            return False
        return self.is_charging or self._moved or waited_s >= self._config.probe_period_s * self._patience

    def asked(self, now_ms: int) -> None:
        """The vehicle was asked just now."""
        self._asked_ms = now_ms
        self._moved = False
        self._patience = random.uniform(0.9, 1.1)
