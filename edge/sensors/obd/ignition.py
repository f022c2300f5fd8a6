"""Whether the vehicle is in use, so that a parked one is left to sleep. Pure; times are boot_ms, voltages at the plug.

A parked vehicle whose bus is kept busy drains its battery and may sound its alarm. So once the engine has been off
for a while nothing is sent to the vehicle: only the adapter's own voltage is watched. It moves when a door is opened,
the key turned or the engine started, and then one question is asked. An adapter that cannot tell the voltage leaves
no other way than a question now and then, ever more rarely.
"""

from collections.abc import Mapping
import random

from edge.sensors.obd.battery import Level
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.elm import ABOVE_12_V
from sync_protocol.signals import catalogue

_RPM = catalogue().by_name["engine_rpm"].id
_SPEED = catalogue().by_name["speed_kmh"].id
_STEP_V = 0.3  # doors, key and starter move the resting voltage by more than this
_DRIFT_V_S = 0.005  # a battery that settles after the engine has stopped moves by less than this
_SURE_MS = 600_000  # as long no more than a battery of 12 V: it was jump-started with 24 V
_LISTEN_S = 3.0  # a question would drown the starter's dip
_LONGEST_PROBE_S = 3600.0
_LOW_SPACING = 20  # times the spacing of questions on a low battery


class Ignition:
    """Signs of use, as they come in."""

    def __init__(self, config: ObdConfig, now_ms: int, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._config = config
        self.used_ms = now_ms
        self._asked_ms = now_ms
        self._was_charging = False
        self._moved_ms: int | None = None
        self._baseline_v: float | None = None
        self._seen_ms = self._above_ms = now_ms
        self._patience_s = config.probe_period_s
        self._jitter = self._rng.uniform(0.9, 1.1)
        self.battery_v: float | None = None
        self.scale = 1

    @property
    def is_charging(self) -> bool:
        """Whether the voltage says that an alternator or converter is at work."""
        return self.battery_v is not None and self.battery_v >= self._config.charging_v * self.scale

    @property
    def has_moved(self) -> bool:
        """Whether the resting voltage has moved since the last question."""
        return self._moved_ms is not None

    def saw_voltage(self, battery_v: float | None, now_ms: int) -> None:
        """A reading of the adapter; None where it has none."""
        self.battery_v = battery_v
        if battery_v is not None:
            self._compare(battery_v, now_ms)
        if self.is_charging:
            self.used_ms = now_ms

    def _compare(self, battery_v: float, now_ms: int) -> None:
        if battery_v > ABOVE_12_V:
            self.scale = 2
        if battery_v >= self._config.charging_v:
            self._above_ms = now_ms
        elif now_ms - self._above_ms >= _SURE_MS:
            self.scale = 1
        drift_v = _DRIFT_V_S * (now_ms - self._seen_ms) / 1000 * self.scale
        self._seen_ms = now_ms
        if self._baseline_v is None:
            self._baseline_v = battery_v
        step_v = battery_v - self._baseline_v
        was_charging = self._baseline_v >= self._config.charging_v * self.scale
        self._baseline_v += max(-drift_v, min(drift_v, step_v))
        if was_charging and step_v < 0:
            self._baseline_v = battery_v  # the engine was stopped: no sign of use
        elif abs(step_v) >= _STEP_V * self.scale and self._moved_ms is None:
            self._moved_ms = now_ms

    def saw_values(self, values: Mapping[int, int], now_ms: int) -> bool:
        """Raw values of the vehicle. Whether they show that it is in use."""
        is_used = values.get(_RPM, 0) > 0 or values.get(_SPEED, 0) > 0
        if is_used:
            self.used_ms = now_ms
        return is_used

    def woke(self, now_ms: int) -> None:
        """The vehicle answers anew: the time to leave it alone starts again."""
        self.used_ms = now_ms
        self._patience_s = self._config.probe_period_s

    def should_rest(self, now_ms: int) -> bool:
        """Whether the engine has been off long enough to stop asking."""
        return now_ms - self.used_ms >= self._config.quiet_after_s * 1000

    def should_ask(self, now_ms: int, level: Level = "good") -> bool:
        """Whether a resting vehicle may be asked. Where the voltage is known only the voltage speaks for it.

        On a low battery it takes longer, and on an empty one nothing is asked before something charges it.
        """
        config = self._config
        waited_s = (now_ms - self._asked_ms) / 1000
        has_started = self.is_charging and not self._was_charging
        if waited_s < config.probe_spacing_s and not has_started:
            return False
        if self.battery_v is None:
            return waited_s >= self._patience_s * self._jitter
        if self.is_charging:
            return True
        if self._moved_ms is None or level == "empty" or now_ms - self._moved_ms < self._listen_ms:
            return False
        return level == "good" or waited_s >= config.probe_spacing_s * _LOW_SPACING

    @property
    def _listen_ms(self) -> float:
        return 1000 * min(_LISTEN_S, self._config.probe_spacing_s)

    def asked(self, now_ms: int) -> None:
        """The vehicle was asked just now, or is left alone from now on."""
        if self.battery_v is None and now_ms - self._asked_ms >= self._config.probe_period_s * 800:
            self._patience_s = min(_LONGEST_PROBE_S, 2 * self._patience_s)
        self._asked_ms, self._was_charging = now_ms, self.is_charging
        self._moved_ms = None
        self._baseline_v = self.battery_v
        self._jitter = self._rng.uniform(0.9, 1.1)
