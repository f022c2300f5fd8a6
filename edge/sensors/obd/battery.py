"""The starter battery as the voltage at the plug tells it: at rest, while cranking, and when it must be spared. Pure.

All thresholds are of a 12 V lead battery and are doubled on a 24 V vehicle. Another chemistry needs another config.
"""

from collections import deque
import statistics
from typing import Any, Literal, NamedTuple

from edge.sensors.obd.config import ObdConfig

Level = Literal["good", "low", "empty"]
PowerAdvice = Literal["run", "save", "off"]

_ADVICE: dict[Level, PowerAdvice] = {"good": "run", "low": "save", "empty": "off"}
_RARER = {"good": 1, "low": 10, "empty": 60}  # times the seconds between two readings at rest
_FAST_S = 0.1  # a starter turns for half a second
_FAST_FOR_MS = 30_000
_DIP_V = 1.0
_RECOVERED_V = 0.5
_LONGEST_CRANK_MS = 10_000
_STARTED_WITHIN_MS = 5_000
_SETTLED_EVERY_MS = 10_000
_SETTLED_COUNT = 30  # five minutes: a door that stands open is not a flat battery
_DAY_MS = 24 * 3_600_000
_HOUR_MS = 3_600_000


class Told(NamedTuple):
    """An event to be sent: its kind and its data."""

    kind: str
    data: dict[str, Any]


class Battery:
    """Takes every reading of the voltage. `level` only falls while the vehicle rests; using it starts anew."""

    def __init__(self, config: ObdConfig, now_ms: int) -> None:
        self._config = config.battery
        self._charging_v = config.charging_v
        self.level: Level = "good"
        self.cranked_min_v: float | None = None
        self._fast_until_ms = now_ms
        self._before_v: float | None = None
        self._crank: _Crank | None = None
        self._settled: deque[float] = deque(maxlen=_SETTLED_COUNT)
        self._settled_ms = now_ms
        self._reported_ms: int | None = None

    @property
    def advice(self) -> PowerAdvice:
        """What a power script should do: go on, save what it can, or switch the device off."""
        return _ADVICE[self.level]

    def expect_start(self, now_ms: int) -> None:
        """The key was turned, or a door opened: look closely for a while."""
        self._fast_until_ms = now_ms + _FAST_FOR_MS

    def poll_s(self, now_ms: int) -> float:
        """How long to wait for the next reading while the vehicle rests."""
        if self.is_cranking or now_ms < self._fast_until_ms:
            return min(_FAST_S, self._config.watch_s)
        return self._config.watch_s * _RARER[self.level]

    @property
    def is_cranking(self) -> bool:
        """Whether a starter turns, or has just turned."""
        return self._crank is not None

    def saw(self, battery_v: float, now_ms: int, *, scale: int, used_ms: int) -> list[Told]:
        """A reading. `scale` is 2 on a 24 V vehicle; `used_ms` is when the vehicle was last seen in use."""
        told = self._cranking(battery_v, now_ms, scale, used_ms)
        rested_ms = now_ms - used_ms
        if rested_ms < self._config.settled_h * _HOUR_MS:
            self.level, self._reported_ms = "good", None
            self._settled.clear()
        elif now_ms - self._settled_ms >= _SETTLED_EVERY_MS and self._crank is None:
            self._settled_ms = now_ms
            self._settled.append(battery_v)
            told += self._resting(now_ms, rested_ms, scale)
        return told

    def _resting(self, now_ms: int, rested_ms: int, scale: int) -> list[Told]:
        if len(self._settled) < _SETTLED_COUNT:
            return []
        battery_v, rested_h = statistics.median(self._settled), round(rested_ms / _HOUR_MS, 1)
        data = {"battery_v": battery_v, "rested_h": rested_h}
        told = []
        found: Level = "good"
        if battery_v < self._config.empty_v * scale:
            found = "empty"
        elif battery_v < self._config.low_v * scale and self.level == "good":
            found = "low"
        if found != "good" and found != self.level:
            self.level = found
            told.append(Told("battery_low", data | {"level": found}))
        is_due = self._reported_ms is None or now_ms - self._reported_ms >= _DAY_MS
        if is_due and rested_ms >= self._config.rested_h * _HOUR_MS:
            self._reported_ms = now_ms
            told.append(Told("battery_rested", data))
        return told

    def _cranking(self, battery_v: float, now_ms: int, scale: int, used_ms: int) -> list[Told]:
        is_charging = battery_v >= self._charging_v * scale
        crank, before_v = self._crank, self._before_v
        if crank is None:
            self._before_v = battery_v
            if before_v is None or before_v >= self._charging_v * scale or battery_v > before_v - _DIP_V * scale:
                return []
            self._crank = _Crank(before_v, battery_v, now_ms)
            return []
        if crank.ended_ms is None:
            crank.samples += 1
            crank.min_v = min(crank.min_v, battery_v)
            if battery_v >= crank.before_v - _RECOVERED_V * scale or is_charging:
                crank.ended_ms = now_ms
            elif now_ms - crank.begun_ms > _LONGEST_CRANK_MS:
                self._crank, self._before_v = None, battery_v  # a load, not a starter
                return []
            else:
                return []
        is_started = is_charging or used_ms > crank.begun_ms
        if not is_started and now_ms - crank.ended_ms < _STARTED_WITHIN_MS:
            return []
        self._crank, self._before_v, self.cranked_min_v = None, battery_v, crank.min_v
        data = {
            "min_v": crank.min_v,
            "before_v": crank.before_v,
            "duration_s": round((crank.ended_ms - crank.begun_ms) / 1000, 1),
            "samples": crank.samples,
            "is_started": is_started,
        }
        return [Told("battery_cranked", data)]


class _Crank:
    """A dip that may be the starter's."""

    def __init__(self, before_v: float, min_v: float, begun_ms: int) -> None:
        self.before_v = before_v
        self.min_v = min_v
        self.begun_ms = begun_ms
        self.ended_ms: int | None = None
        self.samples = 1
