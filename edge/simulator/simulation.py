"""Several vehicles at once in one event loop, for `milepost simulate` and for tests."""

import asyncio
from datetime import UTC, datetime
import itertools
import json
import math
from pathlib import Path
import random
import time
from types import TracebackType
from typing import Any, Self

import msgspec

from edge.simulator.ecu import control_units
from edge.simulator.elm327 import INSTANT, Elm327, Latency
from edge.simulator.faults import FaultRequest, fits
from edge.simulator.gpsd import GpsdServer
from edge.simulator.kinds import KINDS
from edge.simulator.pty_port import PtyPort
from edge.simulator.receiver import Receiver
from edge.simulator.route import load_route, route_names
from edge.simulator.vehicle import STEP_S, Vehicle
from sync_protocol.errors import Invalid, NotFound

EPOCH_DELAY_S = 0.12  # a receiver's report comes that long after the second it is of
HEAD_START_S = 900.0


class SimulationConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What to simulate. `directory` gets one folder a vehicle; simulated time runs `speed_factor` times as fast.

    With `has_head_start` all but the first vehicle have been on the road for a while when the simulation begins.
    """

    directory: Path
    vehicles: int = 3
    kinds: tuple[str, ...] = tuple(KINDS)
    routes: tuple[str, ...] = ()
    seed: int = 1
    speed_factor: float = 1.0
    faults: tuple[FaultRequest, ...] = ()
    latency: Latency = INSTANT
    cold_start_s: float = 4.0
    gpsd_port: int = 0  # of the first vehicle, the others follow; 0: any free ones
    has_head_start: bool = False


class Rig:
    """One vehicle with its adapter and its receiver."""

    def __init__(self, vehicle: Vehicle, config: SimulationConfig, offset_s: float, simulation: "Simulation") -> None:
        self.vehicle = vehicle
        self.name = vehicle.name
        self.offset_s = offset_s
        self._simulation = simulation
        self.port = PtyPort(
            Elm327(vehicle, control_units(vehicle), config.latency),
            config.directory / vehicle.name / "obd",
            self.advance,
        )
        self.receiver = Receiver(f"{config.seed}/{vehicle.name}/gps", config.cold_start_s)
        self.gpsd = GpsdServer()

    def advance(self) -> None:
        """Bring the vehicle to this moment."""
        self.vehicle.advance_to(self._simulation.clock_s() + self.offset_s)

    def publish(self, at: datetime) -> None:
        """Send the fix of this second: exactly where the vehicle is now, between two steps of the model."""
        self.advance()
        vehicle = self.vehicle
        ahead_s = min(STEP_S, max(0.0, self._simulation.clock_s() + self.offset_s - vehicle.clock_s))
        place = vehicle.route.place(vehicle.distance_m + vehicle.speed_ms * ahead_s)
        self.gpsd.publish(self.receiver.fix(place, vehicle.speed_ms), at)

    def facts(self) -> dict[str, Any]:
        """Content of `simulator.json`; `device_toml` is a ready fragment of a device's configuration."""
        vehicle, link = self.vehicle, str(self.port.link.absolute())
        toml = f'[obd]\nport = "{link}"\n\n[gps]\nhost = "{self.gpsd.host}"\nport = {self.gpsd.port}\n'
        return {
            "name": self.name, "kind": vehicle.kind.name, "vin": vehicle.vin, "plate": vehicle.plate,
            "make": vehicle.kind.make, "model": vehicle.kind.model, "year": vehicle.year, "route": vehicle.route.name,
            "obd_port": link, "gpsd_host": self.gpsd.host, "gpsd_port": self.gpsd.port, "device_toml": toml,
        }  # fmt: skip


class Simulation:
    """`async with Simulation(config) as simulation:` runs the vehicles until the block ends."""

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self._started_s = time.monotonic()
        self._ticker: asyncio.Task[None] | None = None
        self.rigs = [self._rig(index) for index in range(config.vehicles)]
        for request in config.faults:
            self.break_(request)

    def clock_s(self) -> float:
        """Simulated seconds since the start."""
        return (time.monotonic() - self._started_s) * self.config.speed_factor

    def rig(self, name: str) -> Rig:
        """The vehicle of that name. Raises NotFound."""
        for rig in self.rigs:
            if rig.name == name:
                return rig
        raise NotFound(f"vehicle {name!r}: expected one of {', '.join(r.name for r in self.rigs)}")

    def break_(self, request: FaultRequest) -> None:
        """Break one vehicle, or all that have the part. Raises Invalid when none has, NotFound for another name."""
        chosen = [r for r in self.rigs if fits(request.fault, r.vehicle.kind)]
        if request.vehicle is not None:
            chosen = [self.rig(request.vehicle)]
        if not chosen:
            raise Invalid(f"no vehicle has a part for fault {request.fault!r}")
        for rig in chosen:
            rig.vehicle.break_(msgspec.structs.replace(request, after_s=request.after_s + rig.offset_s))

    async def __aenter__(self) -> Self:
        config = self.config
        for index, rig in enumerate(self.rigs):
            rig.vehicle.advance_to(rig.offset_s)
            rig.port.open()
            await rig.gpsd.start(config.gpsd_port + index if config.gpsd_port else 0)
            facts = json.dumps(rig.facts(), indent=2, ensure_ascii=False) + "\n"
            (config.directory / rig.name / "simulator.json").write_text(facts, encoding="utf-8")
        self._started_s = time.monotonic()
        self._ticker = asyncio.create_task(self._tick(), name="simulated receivers")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            await asyncio.gather(self._ticker, return_exceptions=True)
        for rig in self.rigs:
            rig.port.close()
            await rig.gpsd.stop()

    async def _tick(self) -> None:
        """Once a second of real time: devices take satellite time for real, whatever the speed factor."""
        while True:
            now_s = time.time()
            second = math.floor(now_s - EPOCH_DELAY_S + 0.01) + 1  # a timer may fire a little early
            await asyncio.sleep(second + EPOCH_DELAY_S - now_s)
            at = datetime.fromtimestamp(second, UTC)
            for rig in self.rigs:
                rig.publish(at)

    def _rig(self, index: int) -> Rig:
        config = self.config
        routes = config.routes or route_names()
        kind = KINDS[config.kinds[index % len(config.kinds)]]
        count = index // len(config.kinds) + 1
        name = f"{kind.name}-{count:02d}"
        rng = random.Random(f"{config.seed}/{name}")
        route = load_route(routes[index % len(routes)])
        offset_s = rng.uniform(60, HEAD_START_S) if config.has_head_start and index else 0.0
        return Rig(Vehicle(name, kind, route, f"{config.seed}/{name}"), config, offset_s, self)


def check(config: SimulationConfig) -> None:
    """Raise Invalid for kinds, routes or counts that there are not."""
    for given, known, what in ((config.kinds, tuple(KINDS), "kind"), (config.routes, route_names(), "route")):
        for name in itertools.filterfalse(known.__contains__, given):
            raise Invalid(f"{what} {name!r}: expected one of {', '.join(known)}")
    if config.vehicles < 1 or config.speed_factor <= 0:
        raise Invalid("expected at least one vehicle and a speed factor > 0")
