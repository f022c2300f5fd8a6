"""Notices that a position leaps: further from the one before than any vehicle gets in that time.

The position is kept as it was measured, since nobody can know which of the two is wrong; the event says where to look.
"""

import math
from typing import NamedTuple

_FASTEST_MS = 150.0
_SLACK_M = 500.0  # the first fixes after a tunnel may be off by so much
_EARTH_M = 6_371_000.0
_APART_MS = 60_000


class Jump(NamedTuple):
    """A leap of so many metres in so many seconds."""

    distance_m: int
    after_s: float


class JumpWatch:
    """Follows the fixes of one receiver. A receiver that leaps to and fro is told once a minute."""

    def __init__(self) -> None:
        self._last: tuple[int, float, float] | None = None
        self._told_ms: int | None = None

    def take(self, boot_ms: int, lat_deg: float, lon_deg: float) -> Jump | None:
        """A fix. Returns the leap from the one before, when it is one and is to be told."""
        last, self._last = self._last, (boot_ms, lat_deg, lon_deg)
        if last is None:
            return None
        after_s = max(0, boot_ms - last[0]) / 1000
        distance_m = _distance_m(last[1], last[2], lat_deg, lon_deg)
        if distance_m <= _FASTEST_MS * after_s + _SLACK_M:
            return None
        if self._told_ms is not None and boot_ms - self._told_ms < _APART_MS:
            return None
        self._told_ms = boot_ms
        return Jump(round(distance_m), round(after_s, 1))


def _distance_m(lat_a_deg: float, lon_a_deg: float, lat_b_deg: float, lon_b_deg: float) -> float:
    """Along a great circle."""
    a, b = math.radians(lat_a_deg), math.radians(lat_b_deg)
    half = (
        math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(math.radians(lon_b_deg - lon_a_deg) / 2) ** 2
    )
    return 2 * _EARTH_M * math.asin(math.sqrt(min(1.0, half)))
