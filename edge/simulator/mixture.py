"""Fuel trims and the narrow-band oxygen sensor of a petrol engine, and what a loose one does to them."""

import math
import random


class Mixture:
    """Closed-loop control of one bank."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.short_pct = 0.0
        self.long_pct = rng.uniform(-3, 3)
        self.upstream_v = 0.45
        self.downstream_v = 0.45
        self.is_closed_loop = False
        self.is_dropped_out = False
        self._phase = rng.uniform(0, 6)

    def step(
        self, dt_s: float, coolant_c: float, rpm: float, *, is_fuel_cut: bool, is_loose: bool, misfires: bool
    ) -> None:
        """Run for `dt_s` with the engine running."""
        rng = self._rng
        self.is_closed_loop = coolant_c > 40 and not is_fuel_cut
        self.is_dropped_out = is_loose and (rng.random() < (0.75 if self.is_dropped_out else 0.3))
        self._phase += dt_s * 2 * math.pi * (0.7 + rpm / 5000)
        swing = math.sin(self._phase)
        if self.is_dropped_out:
            self.upstream_v = max(0.0, rng.gauss(0.05, 0.03))
        elif is_fuel_cut:
            self.upstream_v = max(0.0, rng.gauss(0.06, 0.02))
        elif self.is_closed_loop:
            self.upstream_v = min(0.93, max(0.07, 0.47 + 0.55 * swing + rng.gauss(0, 0.05)))
        else:
            self.upstream_v = min(0.95, max(0.4, rng.gauss(0.75, 0.05)))
        self.downstream_v += ((0.08 if is_fuel_cut else 0.68) - self.downstream_v) * dt_s / 6 + rng.gauss(0, 0.006)
        self.downstream_v = min(0.9, max(0.02, self.downstream_v))
        if not self.is_closed_loop:
            self.short_pct *= 1 - min(1.0, dt_s)
            return
        goal_pct = (14.0 if self.is_dropped_out else 0.0) + (5.0 if misfires else 0.0) - 1.8 * swing
        pace_s = 0.8 if is_loose else 1.2
        self.short_pct += (goal_pct - self.short_pct) * min(1.0, dt_s / pace_s) + rng.gauss(0, 0.25)
        self.short_pct = max(-25.0, min(25.0, self.short_pct))
        self.long_pct += max(-0.05, min(0.05, self.short_pct * 0.004)) * dt_s
        self.long_pct = max(-20.0, min(20.0, self.long_pct * (1 - dt_s / 2000)))
