"""python-OBD, a client that others wrote, reads from the pty what the model says."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.simulator.elm327 import Latency
from edge.simulator.readings import reading
from edge.simulator.simulation import Rig, Simulation, SimulationConfig

obd = pytest.importorskip("obd", reason="python-OBD is in the extra `obd`")


async def with_rig(tmp_path: Path, kind: str, work: Callable[[Rig, Any], None], **options: Any) -> None:
    """Run `work(rig, connection)` in a thread, against a vehicle that has driven for five minutes and stands still.

    The model's clock is stopped by a speed factor of almost nothing, so that what is read can be compared exactly.
    """
    config = SimulationConfig(
        directory=tmp_path, vehicles=1, kinds=(kind,), routes=("valley",), speed_factor=1e-6, **options
    )
    async with Simulation(config) as simulation:
        rig = simulation.rigs[0]
        rig.vehicle.advance_to(300)
        while rig.vehicle.speed_ms < 5:
            rig.vehicle.advance_to(rig.vehicle.clock_s + 5)
        connection = await asyncio.to_thread(
            obd.OBD, str(rig.port.link), baudrate=38400, fast=False, timeout=2, check_voltage=True
        )
        try:
            await asyncio.to_thread(work, rig, connection)
        finally:
            await asyncio.to_thread(connection.close)


def value(connection: Any, command: Any) -> Any:
    answer = connection.query(command, force=True)
    assert not answer.is_null(), command.name
    return answer.value


@pytest.mark.parametrize("kind", ["van", "car", "compact", "truck"])
def test_values_equal_the_model(tmp_path: Path, kind: str) -> None:
    def work(rig: Rig, connection: Any) -> None:
        vehicle, commands = rig.vehicle, obd.commands
        assert connection.status() == obd.OBDStatus.CAR_CONNECTED
        assert connection.protocol_id() == ("7" if kind == "truck" else "6")
        assert {c.pid for c in connection.supported_commands if c.mode == 1} >= {
            pid for pid in vehicle.kind.pids if pid < 0x60 and pid != 0x4F and commands.has_pid(1, pid)
        }
        assert value(connection, commands.RPM).magnitude == pytest.approx(reading(vehicle, "engine_rpm"), abs=0.13)
        assert value(connection, commands.SPEED).magnitude == round(vehicle.speed_ms * 3.6)
        assert value(connection, commands.COOLANT_TEMP).magnitude == round(vehicle.temperatures.coolant_c)
        assert value(connection, commands.ENGINE_LOAD).magnitude == pytest.approx(
            reading(vehicle, "engine_load_pct"), abs=0.2
        )
        assert value(connection, commands.FUEL_LEVEL).magnitude == pytest.approx(vehicle.tank.level_pct, abs=0.2)
        assert value(connection, commands.CONTROL_MODULE_VOLTAGE).magnitude == pytest.approx(
            reading(vehicle, "module_v"), abs=1e-3
        )
        assert value(connection, commands.ELM_VOLTAGE).magnitude == pytest.approx(vehicle.electrics.volts, abs=0.051)
        assert value(connection, commands.FUEL_TYPE) == ("Diesel" if vehicle.kind.fuel == "diesel" else "Gasoline")
        assert value(connection, commands.RUN_TIME).magnitude == round(vehicle.run_s)
        if 0x10 in vehicle.kind.pids:
            assert value(connection, commands.MAF).magnitude == pytest.approx(reading(vehicle, "maf_gs"), abs=0.006)
        # python-OBD strips 0, 1, 2 and x from the ends of a VIN; the bytes it received are right
        answer = connection.query(commands.VIN, force=True)
        assert bytes(answer.messages[0].data[3:20]).decode() == vehicle.vin
        assert value(connection, commands.GET_DTC) == []
        assert not value(connection, commands.STATUS).MIL

    asyncio.run(with_rig(tmp_path, kind, work))


def test_trouble_codes_with_a_real_adapters_latency(tmp_path: Path) -> None:
    def work(rig: Rig, connection: Any) -> None:
        vehicle, commands = rig.vehicle, obd.commands
        vehicle.troubles.stored = ["P0301", "C0040", "B1234", "U0100"]
        vehicle.troubles.pending = ["P0420"]
        status = value(connection, commands.STATUS)
        assert (status.MIL, status.DTC_count) == (True, 4)
        assert [code for code, _ in value(connection, commands.GET_DTC)] == vehicle.troubles.stored
        assert [code for code, _ in value(connection, commands.GET_CURRENT_DTC)] == ["P0420"]
        connection.query(commands.CLEAR_DTC, force=True)
        assert value(connection, commands.GET_DTC) == []

    asyncio.run(with_rig(tmp_path, "car", work, latency=Latency(search_s=0.2)))


def test_ignition_off_is_seen(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = SimulationConfig(directory=tmp_path, vehicles=1, kinds=("compact",), speed_factor=1e-6)
        async with Simulation(config) as simulation:
            rig = simulation.rigs[0]
            rig.vehicle.has_ignition = rig.vehicle.is_running = False
            connection = await asyncio.to_thread(obd.OBD, str(rig.port.link), baudrate=38400, fast=False, timeout=2)
            assert connection.status() == obd.OBDStatus.OBD_CONNECTED
            await asyncio.to_thread(connection.close)

    asyncio.run(scenario())
