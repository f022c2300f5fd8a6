"""A satellite receiver: the true place with the errors that a good one has, and none while it starts cold."""

import math
import random
from typing import NamedTuple

from edge.simulator.route import METRES_PER_DEG, Place

_WANDER_M = 1.8  # slow error of the fix, one axis
_WANDER_S = 70.0
_JITTER_M = 0.25
ALTITUDE_M = 455.0  # the valley floor; the extract has no elevations
SATELLITES = ((2, 17, 308), (5, 62, 95), (7, 31, 210), (9, 8, 40), (13, 44, 150), (15, 25, 270), (18, 12, 330),
              (20, 71, 10), (26, 38, 66), (29, 5, 188), (30, 52, 245))  # number, elevation, azimuth # fmt: skip


class Fix(NamedTuple):
    """One epoch. `mode` 1 has no place; lengths in metres, `error_m` and `altitude_error_m` at 95 %."""

    mode: int
    lat_deg: float = 0.0
    lon_deg: float = 0.0
    altitude_m: float = 0.0
    speed_ms: float = 0.0
    heading_deg: float = 0.0
    climb_ms: float = 0.0
    error_m: float = 0.0
    altitude_error_m: float = 0.0
    hdop: float = 99.0
    used: int = 0


class Receiver:
    """Call `fix` once a second; the seed decides the errors."""

    def __init__(self, seed: str, cold_start_s: float) -> None:
        self._rng = random.Random(seed)
        self._cold_s = cold_start_s
        self._north_m = self._rng.gauss(0, _WANDER_M)
        self._east_m = self._rng.gauss(0, _WANDER_M)
        self._up_m = self._rng.gauss(0, 2 * _WANDER_M)
        self._heading_deg: float | None = None
        self.is_covered = False  # no view of the sky

    def restart(self, cold_start_s: float) -> None:
        """Lose the fix and start again."""
        self._cold_s = cold_start_s

    def fix(self, place: Place, speed_ms: float, period_s: float = 1.0) -> Fix:
        """The next epoch, `period_s` after the last one."""
        rng = self._rng
        keep = math.exp(-period_s / _WANDER_S)
        push = math.sqrt(1 - keep * keep)
        self._north_m = self._north_m * keep + rng.gauss(0, _WANDER_M) * push
        self._east_m = self._east_m * keep + rng.gauss(0, _WANDER_M) * push
        self._up_m = self._up_m * keep + rng.gauss(0, 2 * _WANDER_M) * push
        used = max(6, min(len(SATELLITES), round(rng.gauss(9.4, 0.6))))
        if self.is_covered or self._cold_s > 0:
            self._cold_s -= period_s
            return Fix(mode=1)
        if self._heading_deg is None or speed_ms > 0.8:  # at rest the last course is kept, as receivers do
            self._heading_deg = (place.heading_deg + rng.gauss(0, 1.5 / max(speed_ms, 1.0))) % 360
        north_m = self._north_m + rng.gauss(0, _JITTER_M)
        east_m = self._east_m + rng.gauss(0, _JITTER_M)
        hdop = 0.6 + 3.0 / used + rng.uniform(0, 0.08)
        return Fix(
            mode=3,
            lat_deg=place.lat_deg + north_m / METRES_PER_DEG,
            lon_deg=place.lon_deg + east_m / (METRES_PER_DEG * math.cos(math.radians(place.lat_deg))),
            altitude_m=ALTITUDE_M + self._up_m,
            speed_ms=max(0.0, speed_ms + rng.gauss(0, 0.08)),
            heading_deg=self._heading_deg,
            climb_ms=rng.gauss(0, 0.05),
            error_m=hdop * 5.2,
            altitude_error_m=hdop * 9.1,
            hdop=hdop,
            used=used,
        )
