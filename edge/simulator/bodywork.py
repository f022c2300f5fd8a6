"""What warms up, charges and empties: temperatures, battery and alternator, fuel tank."""

from dataclasses import dataclass
import math
import random

from edge.simulator.kinds import Kind
from edge.simulator.powertrain import HEAT_KJG


@dataclass(slots=True)
class Temperatures:
    """All in Celsius. A stuck thermostat lets the radiator cool a cold engine."""

    ambient_c: float
    coolant_c: float
    oil_c: float
    intake_c: float
    catalyst_c: float

    def step(
        self, dt_s: float, kind: Kind, fuel_gs: float, speed_ms: float, *, is_running: bool, is_stuck: bool
    ) -> None:
        """Heat from fuel goes into the block, from there into the air through body and radiator."""
        capacity_kjk = 9 + 13 * kind.displacement_l
        opened = 1.0 if is_stuck else min(1.0, max(0.0, (self.coolant_c - 85) / 8))
        radiator_kwk = (0.05 + 0.0045 * speed_ms) * opened * kind.displacement_l**0.5
        fan_kwk = 0.08 if is_running and self.coolant_c > 97 else 0.0
        loss_kw = (0.010 + 0.0006 * speed_ms + radiator_kwk + fan_kwk) * (self.coolant_c - self.ambient_c)
        self.coolant_c += (0.30 * fuel_gs * HEAT_KJG - loss_kw) / capacity_kjk * dt_s
        oil_goal_c = self.coolant_c + (min(25.0, fuel_gs * 6) if is_running else 0.0)
        self.oil_c += (oil_goal_c - self.oil_c) * dt_s / 240
        soak_c = (4 + 16 / (1 + speed_ms)) * min(1.0, max(0.0, (self.coolant_c - self.ambient_c) / 70))
        self.intake_c += (self.ambient_c + soak_c - self.intake_c) * dt_s / 45
        catalyst_goal_c = 330 + 170 * math.sqrt(fuel_gs) if is_running else self.ambient_c
        self.catalyst_c += (catalyst_goal_c - self.catalyst_c) * dt_s / (40 if is_running else 900)


class Electrics:
    """Battery at the diagnostic connector, one or two of 12 V in a row. `volts` is what the adapter's RV reads."""

    def __init__(self, rng: random.Random, supply_v: int = 12) -> None:
        self._rng = rng
        self._in_a_row = supply_v // 12
        self.charge = rng.uniform(0.82, 0.97)
        self._surface_v = 0.0
        self.battery_v = self._resting_v()

    def step(self, dt_s: float, *, is_cranking: bool, is_running: bool, has_ignition: bool, is_weak: bool) -> None:
        """Run for `dt_s`; a weak alternator no longer carries the vehicle's own 35 A."""
        ripple_v = self._rng.gauss(0, 0.02)
        if is_cranking:
            self.battery_v = 9.9 + 1.2 * self.charge + ripple_v * 10
        elif is_running and not is_weak:
            self.charge = min(1.0, self.charge + dt_s / 7200 * 0.3)
            self._surface_v = 0.7
            self.battery_v += (14.35 - 0.25 * self.charge - self.battery_v) * min(1.0, dt_s / 1.5) + ripple_v
        else:
            draw = 1 / 5400 if is_running else 1 / 40_000 if has_ignition else 1 / 4_000_000
            self.charge = max(0.05, self.charge - dt_s * draw)
            self._surface_v *= math.exp(-dt_s / 240)
            sag_v = 0.35 if is_running else 0.12 if has_ignition else 0.0
            self.battery_v += (self._resting_v() - sag_v - self.battery_v) * min(1.0, dt_s / 2) + ripple_v * 0.3

    @property
    def volts(self) -> float:
        """At the connector."""
        return self.battery_v * self._in_a_row

    @property
    def is_low(self) -> bool:
        """Whether the computers complain of their supply."""
        return self.battery_v < 12.6

    def _resting_v(self) -> float:
        return 11.7 + 1.05 * self.charge + self._surface_v


class Tank:
    """Fuel in litres and the float in it, which swings with every acceleration."""

    def __init__(self, kind: Kind, rng: random.Random) -> None:
        self._kind = kind
        self._rng = rng
        self.litres = kind.tank_l * rng.uniform(0.35, 0.95)
        self._tilt = 0.0
        self._tilt_rate = 0.0

    @property
    def level_pct(self) -> float:
        """What the float shows."""
        return max(0.0, min(100.0, 100 * self.litres / self._kind.tank_l + self._tilt))

    def step(self, dt_s: float, fuel_gs: float, acceleration_ms2: float) -> None:
        """Burn fuel, and let the rest slosh: a damped swing of about two seconds."""
        self.litres = max(0.3, self.litres - fuel_gs * dt_s / self._kind.density_gl)
        push = 9.0 * acceleration_ms2 + self._rng.gauss(0, 3) * (abs(acceleration_ms2) > 0.02)
        self._tilt_rate += (push - 9.9 * self._tilt - 0.9 * self._tilt_rate) * dt_s
        self._tilt += self._tilt_rate * dt_s

    def refuel(self) -> float:
        """Fill up when low (below 15 %); returns the litres that went in."""
        missing_l = self._kind.tank_l * 0.97 - self.litres
        if self.litres > self._kind.tank_l * 0.15:
            return 0.0
        self.litres += missing_l
        return missing_l
