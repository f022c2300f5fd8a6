"""Engine and gearbox: from a wanted acceleration to gear, revolutions, torque, fuel and air.

Forces and powers balance at every step: what the wheels need comes from the engine or the brakes, and what the engine
gives has been paid for in fuel.
"""

from dataclasses import dataclass
import math

from edge.simulator.kinds import Kind

GRAVITY_MS2 = 9.81
AIR_KGM3 = 1.18
GAS_CONSTANT = 0.287  # kJ/(kg K), air
DRIVELINE = 0.92
HEAT_KJG = 42.8  # of a gram of fuel
BAROMETRIC_KPA = 96.0  # valley floor at 460 m
TURNING_MASS = 1.06
RPM_PER_RADS = 30 / math.pi


@dataclass(slots=True)
class PowertrainState:
    """What the engine does at this moment. Torques at the crank; `gear` counts from 1, 0 is none."""

    rpm: float = 0.0
    gear: int = 0
    is_shifting: bool = False
    is_slipping: bool = True
    torque_nm: float = 0.0  # at the clutch
    friction_nm: float = 0.0
    demand: float = 0.0  # part of the greatest torque asked for
    load: float = 0.0  # part of the greatest charge
    fuel_gs: float = 0.0
    maf_gs: float = 0.0
    manifold_kpa: float = BAROMETRIC_KPA
    force_n: float = 0.0  # at the wheels, from the engine
    is_fuel_cut: bool = False
    egr: float = 0.0


class Powertrain:
    """One engine with its gearbox."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.state = PowertrainState()
        self._shift_left_s = 0.0
        self._dwell_s = 0.0
        self._efficiency = 0.37 if kind.fuel == "petrol" else 0.43

    def resistance_n(self, speed_ms: float) -> float:
        """Rolling and air resistance."""
        kind = self.kind
        rolling = kind.mass_kg * GRAVITY_MS2 * kind.rolling if speed_ms > 0.01 else 0.0
        return rolling + 0.5 * AIR_KGM3 * kind.drag_area_m2 * speed_ms**2

    def stop(self, dt_s: float) -> None:
        """The engine is off; what turns runs down."""
        state = self.state
        rpm = max(0.0, state.rpm - 1200 * dt_s)
        self.state = PowertrainState(rpm=rpm if rpm > 50 else 0.0)

    def crank(self) -> None:
        """The starter turns the engine."""
        self.state = PowertrainState(rpm=230.0, fuel_gs=0.25, maf_gs=2.0, manifold_kpa=BAROMETRIC_KPA - 12, load=0.3)

    def step(self, dt_s: float, speed_ms: float, wanted_ms2: float, coolant_c: float, intake_c: float) -> float:
        """Run for `dt_s` at a speed; returns the acceleration (m/s2) that engine or brakes really give."""
        kind, state = self.kind, self.state
        idle_rpm = kind.idle_rpm + max(0.0, 60 - coolant_c) * 5
        self._choose_gear(dt_s, speed_ms, idle_rpm)
        ratio = kind.ratios[state.gear - 1]
        locked_rpm = speed_ms / kind.wheel_radius_m * ratio * RPM_PER_RADS
        self._turn(dt_s, locked_rpm, idle_rpm, wanted_ms2)
        rads = state.rpm / RPM_PER_RADS
        cold = 1 + max(0.0, 80 - coolant_c) / 130
        friction_nm = kind.displacement_l * (9.5 + 0.0032 * state.rpm) * cold
        accessories_nm = 950 / max(rads, 60)
        greatest_nm = self.greatest_nm(state.rpm)
        resistance_n = self.resistance_n(speed_ms)
        wanted_n = kind.mass_kg * TURNING_MASS * wanted_ms2 + resistance_n if speed_ms > 0.05 or wanted_ms2 > 0 else 0.0
        per_nm = ratio * DRIVELINE / kind.wheel_radius_m
        least_n = -friction_nm * per_nm if not state.is_slipping else 0.0
        drive_n = 0.0 if state.is_shifting else max(least_n, min(wanted_n, greatest_nm * per_nm))
        # on the overrun the wheels turn the engine through the same losses, the other way round
        state.torque_nm = drive_n / per_nm
        state.friction_nm = friction_nm
        state.force_n = drive_n
        state.demand = max(0.0, min(1.0, wanted_n / per_nm / greatest_nm)) if not state.is_shifting else 0.0
        indicated_nm = max(0.0, state.torque_nm + friction_nm + accessories_nm)
        state.is_fuel_cut = (
            not state.is_slipping and state.rpm > idle_rpm * 1.5 and state.torque_nm < -0.5 * friction_nm
        )
        state.fuel_gs = 0.0 if state.is_fuel_cut else indicated_nm * rads / (HEAT_KJG * 1000 * self._efficiency)
        state.load = 0.0 if state.is_fuel_cut else min(1.0, indicated_nm / (greatest_nm + friction_nm))
        self._breathe(intake_c)
        return self._acceleration(speed_ms, wanted_ms2, drive_n, resistance_n)

    def greatest_nm(self, rpm: float) -> float:
        """The most torque at these revolutions."""
        kind = self.kind
        away = (rpm - kind.torque_rpm) / (kind.max_rpm if rpm > kind.torque_rpm else kind.torque_rpm * 1.25)
        return kind.torque_nm * max(0.35, 1 - away**2)

    def _acceleration(self, speed_ms: float, wanted_ms2: float, drive_n: float, resistance_n: float) -> float:
        rolling_free = (drive_n - resistance_n) / (self.kind.mass_kg * TURNING_MASS)
        if wanted_ms2 >= rolling_free:
            return rolling_free
        return wanted_ms2 if speed_ms > 0 or wanted_ms2 > 0 else 0.0  # the brakes do the rest

    def _choose_gear(self, dt_s: float, speed_ms: float, idle_rpm: float) -> None:
        kind, state = self.kind, self.state
        self._dwell_s += dt_s
        self._shift_left_s = max(0.0, self._shift_left_s - dt_s)
        state.is_shifting = self._shift_left_s > 0
        if state.gear == 0 or speed_ms < 1.5:
            state.gear = 1
            return
        if state.is_shifting or self._dwell_s < 1.2:
            return
        turns = speed_ms / kind.wheel_radius_m * RPM_PER_RADS
        rpm = turns * kind.ratios[state.gear - 1]
        lowest = kind.idle_rpm * 1.5
        highest = kind.upshift_rpm[0] + (kind.upshift_rpm[1] - kind.upshift_rpm[0]) * state.demand
        if state.gear < len(kind.ratios) and rpm > highest and turns * kind.ratios[state.gear] > lowest * 1.08:
            self._shift(1)
        elif state.gear > 1 and (
            rpm < lowest or (state.demand > 0.97 and turns * kind.ratios[state.gear - 2] < highest)
        ):
            self._shift(-1)

    def _shift(self, by: int) -> None:
        self.state.gear += by
        self._dwell_s = 0.0
        if not self.kind.is_automatic:
            self._shift_left_s = 0.6
            self.state.is_shifting = True

    def _turn(self, dt_s: float, locked_rpm: float, idle_rpm: float, wanted_ms2: float) -> None:
        """Revolutions: tied to the wheels, or slipping towards them at launch, or idling."""
        state = self.state
        launch_rpm = idle_rpm + (350 if wanted_ms2 > 0.1 else 0)
        if state.is_shifting or locked_rpm < launch_rpm:
            goal = max(idle_rpm, locked_rpm) if state.is_shifting or wanted_ms2 <= 0.1 else launch_rpm
            state.is_slipping = True
            state.rpm += (goal - state.rpm) * min(1.0, dt_s / 0.35)
            return
        step_rpm = 2600 * dt_s  # the clutch closes, it does not jump
        if state.is_slipping and abs(locked_rpm - state.rpm) > step_rpm:
            state.rpm += math.copysign(step_rpm, locked_rpm - state.rpm)
        else:
            state.is_slipping = False
            state.rpm = min(locked_rpm, self.kind.max_rpm)

    def _breathe(self, intake_c: float) -> None:
        """Air flow and manifold pressure that belong to the fuel (petrol) or to the boost (diesel)."""
        kind, state = self.kind, self.state
        filling = 0.70 + 0.22 * state.load
        swept_ls = kind.displacement_l * state.rpm / 120
        kelvin = intake_c + 273.15
        if kind.fuel == "petrol":
            leak_gs = 0.09 * swept_ls  # past the closed throttle
            state.maf_gs = max(state.fuel_gs * kind.stoichiometric, leak_gs)
            kpa = state.maf_gs / max(swept_ls * filling, 0.1) * GAS_CONSTANT * kelvin
            state.manifold_kpa = max(18.0, min(BAROMETRIC_KPA + kind.boost_kpa, kpa))
            return
        spool = min(1.0, max(0.0, (state.rpm - 900) / 1000))
        kpa = BAROMETRIC_KPA + kind.boost_kpa * state.load**0.8 * spool
        state.manifold_kpa += (kpa - state.manifold_kpa) * 0.35
        state.egr = max(0.0, 0.4 - 0.7 * state.load) if not state.is_fuel_cut else 0.0
        density = state.manifold_kpa / (GAS_CONSTANT * kelvin)
        state.maf_gs = max(swept_ls * 0.88 * density * (1 - state.egr * 0.5), state.fuel_gs * 16)
