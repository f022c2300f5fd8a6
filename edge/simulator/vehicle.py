"""One simulated vehicle: driver, powertrain and everything that follows from them, in steps of simulated time."""

from collections.abc import Callable
import random

from edge.simulator.bodywork import Electrics, Tank, Temperatures
from edge.simulator.driver import Driver
from edge.simulator.faults import FaultRequest, fits
from edge.simulator.kinds import Kind
from edge.simulator.mixture import Mixture
from edge.simulator.powertrain import Powertrain
from edge.simulator.route import Place, Route
from edge.simulator.troubles import Troubles
from edge.simulator.vin import make_vin
from sync_protocol.errors import Invalid

STEP_S = 0.2


class Vehicle:
    """The model. The same arguments and the same sequence of faults give the same vehicle at every instant.

    `clock_s` is simulated time since the start; `advance_to` brings the model there in steps of STEP_S.
    """

    def __init__(self, name: str, kind: Kind, route: Route, seed: str) -> None:
        rng = random.Random(seed)
        self.name = name
        self.kind = kind
        self.route = route
        self.year = rng.randint(*kind.years)
        self.vin = make_vin(kind.vin_maker, kind.vin_model, self.year, rng)
        self.calibration = kind.calibration  # until somebody writes other software into the engine's computer
        self.plate = f"FL {rng.randrange(10_000, 45_000)}"
        visits = [s.at_m for s in route.stops if s.kind == "visit"]
        self.distance_m = rng.choice(visits) + 2.0
        self.odometer_m = rng.uniform(20e6, 180e6)
        self.driver = Driver(route, random.Random(f"{seed}/driver"), self.distance_m)
        self.powertrain = Powertrain(kind)
        ambient_c = rng.uniform(4, 24)
        self.temperatures = Temperatures(ambient_c, ambient_c, ambient_c, ambient_c, ambient_c)
        self.electrics = Electrics(rng, kind.supply_v)
        self.tank = Tank(kind, rng)
        self.mixture = Mixture(rng)
        self.troubles = Troubles()
        self.troubles.clear_m = rng.uniform(1e6, 9e6)
        self.troubles.clear_s = self.troubles.clear_m / 11
        self.troubles.warmups = rng.randrange(40, 255)
        self._rng = rng
        self.clock_s = 0.0
        self.speed_ms = 0.0
        self.acceleration_ms2 = 0.0
        self.has_ignition = True
        self.is_running = False
        self.is_cranking = False
        self.run_s = 0.0
        self.fuel_used_g = 0.0
        self._has_warmed_up = False
        self.faults: set[str] = set()
        self._planned: list[FaultRequest] = []
        self.on_stored: Callable[[str], None] = lambda _code: None

    @property
    def place(self) -> Place:
        """Where the vehicle is at `clock_s`, exactly."""
        return self.route.place(self.distance_m)

    @property
    def coming_faults(self) -> set[str]:
        """Faults asked for that have not happened yet."""
        return {request.fault for request in self._planned}

    def break_(self, request: FaultRequest) -> None:
        """Make a fault happen now or later. Raises Invalid when this kind has no such part."""
        if not fits(request.fault, self.kind):
            raise Invalid(f"{self.name}: a {self.kind.name} has no part for fault {request.fault!r}")
        if request.after_s > self.clock_s:
            self._planned.append(request)
        else:
            self.faults.add(request.fault)

    def repair(self, fault: str) -> None:
        """Mend a fault; its trouble code stays until it is cleared."""
        self.faults.discard(fault)
        self._planned = [request for request in self._planned if request.fault != fault]

    def advance_to(self, clock_s: float) -> None:
        """Run the model up to simulated time `clock_s`; no step back."""
        while self.clock_s + STEP_S <= clock_s:
            self._step(STEP_S)

    def _step(self, dt_s: float) -> None:
        self.clock_s += dt_s
        for request in [r for r in self._planned if r.after_s <= self.clock_s]:
            self._planned.remove(request)
            self.faults.add(request.fault)
        demand = self.driver.step(dt_s, self.speed_ms, self.distance_m)
        if self.has_ignition and not demand.has_ignition:
            self.tank.refuel()
        self.has_ignition = demand.has_ignition
        self.is_cranking = demand.is_cranking
        if demand.wants_engine != self.is_running:
            self.is_running, self.run_s = demand.wants_engine, 0.0
            self._has_warmed_up = self._has_warmed_up and self.is_running
        moved_m = self._move(dt_s, demand.acceleration_ms2)
        self._bodywork(dt_s)
        if self.is_running:
            self._watch(dt_s, moved_m)

    def _move(self, dt_s: float, wanted_ms2: float) -> float:
        powertrain, temperatures = self.powertrain, self.temperatures
        before_ms = self.speed_ms
        if self.is_running:
            given_ms2 = powertrain.step(dt_s, before_ms, wanted_ms2, temperatures.coolant_c, temperatures.intake_c)
        else:
            given_ms2 = min(0.0, wanted_ms2)
            powertrain.crank() if self.is_cranking else powertrain.stop(dt_s)
        self.speed_ms = max(0.0, before_ms + given_ms2 * dt_s)
        if self.speed_ms < 0.05 and wanted_ms2 <= 0:
            self.speed_ms = 0.0
        self.acceleration_ms2 = (self.speed_ms - before_ms) / dt_s
        moved_m = (before_ms + self.speed_ms) / 2 * dt_s
        self.distance_m += moved_m
        self.odometer_m += moved_m
        return moved_m

    def _bodywork(self, dt_s: float) -> None:
        engine = self.powertrain.state
        self.temperatures.step(
            dt_s, self.kind, engine.fuel_gs, self.speed_ms,
            is_running=self.is_running, is_stuck="thermostat" in self.faults,
        )  # fmt: skip
        self.electrics.step(
            dt_s, is_cranking=self.is_cranking, is_running=self.is_running, has_ignition=self.has_ignition,
            is_weak="alternator" in self.faults,
        )  # fmt: skip
        self.tank.step(dt_s, engine.fuel_gs, self.acceleration_ms2)
        self.fuel_used_g += engine.fuel_gs * dt_s

    def _watch(self, dt_s: float, moved_m: float) -> None:
        """What the engine computer measures, adapts and holds against the parts."""
        self.run_s += dt_s
        temperatures, engine = self.temperatures, self.powertrain.state
        misfires = "misfire" in self.faults
        if self.kind.fuel == "petrol":
            self.mixture.step(
                dt_s, temperatures.coolant_c, engine.rpm, is_fuel_cut=engine.is_fuel_cut,
                is_loose="o2" in self.faults, misfires=misfires,
            )  # fmt: skip
        if misfires:
            engine.rpm = max(300.0, engine.rpm + self._rng.gauss(0, 45) - 25)
        if not self._has_warmed_up and temperatures.coolant_c > 71:
            self._has_warmed_up = True
            self.troubles.warmups = min(255, self.troubles.warmups + 1)
        effects = {fault: self._shows(fault) for fault in sorted(self.faults)}
        code = self.troubles.run(dt_s, moved_m, effects)
        if code is not None:
            self.on_stored(code)

    def _shows(self, fault: str) -> bool:
        """Whether a fault's effect can be seen by the engine computer at this moment."""
        if fault == "thermostat":
            return self.temperatures.coolant_c < 72
        if fault == "alternator":
            return self.electrics.is_low
        if fault == "o2":
            return self.mixture.is_dropped_out
        return True
