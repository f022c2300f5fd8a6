"""Diagnosis end to end: `milepost dtc` to an agent, its OBD sensor, a pty, and a vehicle that is not a fake of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
import tempfile
from typing import Any

import msgspec
import pytest

from edge.app import Agent
from edge.clock import SystemClock
from edge.commands.loading import load
from edge.control import ask
from edge.notify import SystemdNotifier
from edge.sensors.obd.clearing import clear_codes
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.freeze_frame import read_freeze_frames
from edge.sensors.obd.identity import read_identity
from edge.sensors.obd.inspection import read_readiness
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import Port
from edge.sensors.obd.report import ClearReport, CodesReport, Counter, IdentityReport, ReadinessReport
from edge.sensors.obd.vehicle import Vehicle
from edge.simulator.simulation import Rig, Simulation, SimulationConfig
from sync_protocol.errors import Unavailable
from tests.support.elm_peer import elm_peer


async def asked(socket_path: Path, op: str, until: Callable[[Any], bool], **args: Any) -> Any:
    """Ask the agent until the answer is the one that is waited for."""
    async with asyncio.timeout(30):
        while True:
            try:
                answer = await asyncio.to_thread(ask, socket_path, op, **args)
            except Unavailable:
                answer = None
            if answer is not None and until(answer):
                return answer
            await asyncio.sleep(0.1)


def with_agent(kind: str, test: Callable[[Rig, Path, Agent], Awaitable[None]]) -> None:
    async def scenario(folder: Path) -> None:
        config = SimulationConfig(directory=folder / "sim", vehicles=1, kinds=(kind,), routes=("fast",))
        async with Simulation(config) as simulation:
            rig = simulation.rigs[0]
            path = folder / "device.toml"
            path.write_text(
                f'tenant = "acme"\ndevice = "van-1"\nstate_dir = "{folder}/state"\n[uplink]\nenabled = false\n'
                f'[obd]\nport = "{rig.port.link}"\n[gps]\nenabled = false\n[outbox]\nsize_mb = 1\nballast_kb = 0\n'
            )
            stop, device = asyncio.Event(), load(path)
            agent = Agent(device, SystemClock(), SystemdNotifier({}))
            running = asyncio.create_task(agent.run(stop))
            try:
                await test(rig, device.socket_path, agent)
            finally:
                stop.set()
                await asyncio.wait([running], timeout=10)

    async def bounded(folder: Path) -> None:
        async with asyncio.timeout(90):
            await scenario(folder)

    with tempfile.TemporaryDirectory(prefix="mp") as name:
        asyncio.run(bounded(Path(name)))


@pytest.mark.parametrize(("kind", "computers"), [("car", ["7E8", "7E9"]), ("truck", ["18DAF110"])])
def test_what_a_technician_sees_of_a_simulated_vehicle(kind: str, computers: list[str]) -> None:
    async def test(rig: Rig, socket_path: Path, _: Agent) -> None:
        vehicle = rig.vehicle
        rig.offset_s = 60.0  # on the road
        await asked(socket_path, "dtc", lambda answer: "codes" in answer)
        vehicle.troubles.stored = ["P0301", "P0741"]
        vehicle.troubles.permanent = ["P0301"]
        vehicle.on_stored("P0301")
        frozen = dict(vehicle.troubles.freeze)
        codes = msgspec.convert(
            await asked(socket_path, "dtc", lambda a: bool(a.get("codes") and a["vin"])), CodesReport
        )
        gearbox = computers[-1]
        assert [(c.code, c.status, c.ecu) for c in codes.codes] == [
            ("P0301", "stored", computers[0]), ("P0741", "stored", gearbox), ("P0301", "permanent", computers[0]),
        ]  # fmt: skip
        assert (codes.is_mil_on, codes.unread, codes.vin) == (True, {}, vehicle.vin)
        (frame,) = codes.freeze_frames
        assert (frame.ecu, frame.code) == (computers[0], "P0301")
        assert frame.values["engine_rpm"] == pytest.approx(frozen["engine_rpm"], abs=0.2)
        assert frame.values["coolant_c"] == pytest.approx(frozen["coolant_c"], abs=0.6)

        ready = msgspec.convert(await asked(socket_path, "dtc_readiness", bool), ReadinessReport)
        assert [one.ecu for one in ready.computers] == computers
        assert ready.computers[0].ignition == ("compression" if kind == "truck" else "spark")
        assert all(monitor.is_complete for monitor in ready.computers[0].monitors)
        identity = msgspec.convert(await asked(socket_path, "dtc_vehicle", bool), IdentityReport)
        assert (identity.vin, identity.unread) == (vehicle.vin, {})
        engine = identity.computers[0]
        assert (engine.name, engine.calibrations) == ("ECM-EngineControl", [vehicle.calibration])
        assert engine.in_use is not None
        assert engine.in_use.ignition == ready.computers[0].ignition
        assert len(engine.cvns[0]) == 8

    with_agent(kind, test)


def test_codes_are_cleared_when_the_engine_stands_and_never_before() -> None:
    async def test(rig: Rig, socket_path: Path, agent: Agent) -> None:
        vehicle = rig.vehicle
        rig.offset_s = 60.0
        await asked(socket_path, "values", lambda values: any(v["signal"] == "engine_rpm" for v in values))
        rig.advance()
        assert vehicle.is_running
        vehicle.troubles.stored = ["P0301"]
        vehicle.troubles.permanent = ["P0301"]
        refused = msgspec.convert(await asked(socket_path, "dtc_clear", bool, source="cli"), ClearReport)
        assert (refused.result, vehicle.troubles.stored) == ("refused", ["P0301"])
        assert refused.reason in ("the engine runs", "the vehicle moves")

        vehicle.driver.park()
        async with asyncio.timeout(30):
            while vehicle.is_running or vehicle.speed_ms or not vehicle.has_ignition:
                rig.offset_s += 0.4
                rig.advance()
                vehicle.has_ignition = vehicle.has_ignition or not vehicle.is_running  # the key stays turned
                await asyncio.sleep(0)
        vehicle.advance_to = lambda _: None  # type: ignore[method-assign]  # nobody touches it any more
        vehicle.has_ignition = True
        vehicle.powertrain.state.rpm = 0.0
        done = msgspec.convert(
            await asked(socket_path, "dtc_clear", lambda a: a.get("result") != "refused"), ClearReport
        )
        assert (done.result, vehicle.troubles.stored) == ("cleared", [])
        assert done.after is not None
        assert [(c.code, c.status) for c in done.after] == [("P0301", "permanent")]
        left = msgspec.convert(await asked(socket_path, "dtc_readiness", bool), ReadinessReport)
        assert not all(monitor.is_complete for monitor in left.computers[0].monitors)

    with_agent("car", test)


def with_emulator(folder: Path, test: Callable[[Vehicle], Awaitable[None]]) -> None:
    async def body(link: Path) -> None:
        async with asyncio.timeout(60):
            port = await Port.open(str(link), 38_400, 2.0)
            try:
                await test(await Vehicle.find(await Elm.start(port, 2.0, 10.0), Memory(), may_search=True))
            finally:
                await port.close()

    with elm_peer(folder, "car") as peer:
        asyncio.run(body(peer.link))


def test_the_car_of_the_emulator(tmp_path: Path) -> None:
    """A hybrid as its computer answered once. The emulator announces counters of a diesel and answers with one byte."""

    async def test(vehicle: Vehicle) -> None:
        (ready,) = (await read_readiness(vehicle)).computers
        assert (ready.ecu, ready.is_mil_on, ready.ignition) == ("7E8", False, "spark")
        assert [monitor.name for monitor in ready.monitors][3:] == ["catalyst", "oxygen sensor", "EGR or VVT"]
        identity = await read_identity(vehicle)
        assert list(identity.unread) == ["in-use counters"]
        (engine,) = identity.computers
        assert (engine.name, engine.calibrations) == ("ECM-EngineControl", ["312J6000", "A4701000"])
        assert engine.cvns == ["6953CD4B", "611F6EF2"]
        assert engine.in_use is not None
        assert (engine.in_use.conditions_count, engine.in_use.ignition_count) == (24, 154)
        assert engine.in_use.monitors[0] == Counter("catalyst bank 1", 17, 24)
        assert await read_freeze_frames(vehicle) == []
        refused = await clear_codes(vehicle, "cli", lambda _kind, _data: None)
        assert (refused.result, refused.reason) == ("refused", "the engine runs")

    with_emulator(tmp_path, test)
