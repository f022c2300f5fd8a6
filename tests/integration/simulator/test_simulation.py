"""A simulation in this process, talked to through its pty and its TCP port as a device would."""

import asyncio
from datetime import UTC, datetime
import itertools
import json
import os
from pathlib import Path
import shutil
import subprocess
import time
import tomllib
from typing import Any

import pytest

from edge.simulator.control import execute
from edge.simulator.elm327 import Latency
from edge.simulator.simulation import Rig, Simulation, SimulationConfig


class Line:
    """A raw client at the adapter's port."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    async def until(self, end: bytes, within_s: float = 3.0) -> bytes:
        """Everything up to `end`; fails after `within_s`."""
        arrived, deadline_s = b"", time.monotonic() + within_s
        while not arrived.endswith(end):
            assert time.monotonic() < deadline_s, arrived
            try:
                arrived += os.read(self._fd, 1024)
            except BlockingIOError:
                await asyncio.sleep(0.005)
        return arrived

    async def ask(self, line: bytes) -> bytes:
        self.send(line + b"\r")
        return await self.until(b">")

    def send(self, data: bytes) -> None:
        os.write(self._fd, data)

    def close(self) -> None:
        os.close(self._fd)


def run(config: SimulationConfig, work: Any) -> None:
    async def scenario() -> None:
        async with Simulation(config) as simulation:
            await work(simulation)

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_echo_reset_and_values_on_the_pty(tmp_path: Path) -> None:
    async def work(simulation: Simulation) -> None:
        line = Line(simulation.rigs[0].port.link)
        assert await line.ask(b"ATZ") == b"ATZ\r\rELM327 v1.5\r\r>"
        assert await line.ask(b"ATE0") == b"ATE0\rOK\r\r>"
        assert await line.ask(b"ATL1") == b"OK\r\n\r\n>"
        assert (await line.ask(b"0105")).startswith(b"SEARCHING...\r\n41 05 ")
        line.send(b"01\x000")
        line.send(b"C1\rATI\r")  # in pieces, with a stray zero, and a second line at once
        both = await line.until(b"ELM327 v1.5\r\n\r\n>")
        assert both.startswith(b"41 0C ")
        line.close()
        again = Line(simulation.rigs[0].port.link)
        assert await again.ask(b"ATI") == b"ELM327 v1.5\r\n\r\n>"
        again.close()

    run(SimulationConfig(directory=tmp_path, vehicles=1), work)


def test_a_byte_stops_a_request_on_the_way(tmp_path: Path) -> None:
    async def work(simulation: Simulation) -> None:
        port = simulation.rigs[0].port
        line = Line(port.link)
        await line.ask(b"ATE0")
        started_s, before = time.monotonic(), port.requests
        line.send(b"0100\r")
        while port.requests == before:
            await asyncio.sleep(0.005)
        line.send(b"X")
        assert await line.until(b">") == b"STOPPED\r\r>"
        assert time.monotonic() - started_s < 4.0  # the search would have taken longer
        assert await line.ask(b"ATI") == b"ELM327 v1.5\r\r>"
        line.close()

    run(SimulationConfig(directory=tmp_path, vehicles=1, latency=Latency(search_s=30.0)), work)


def test_unplugged_and_silent_adapters(tmp_path: Path) -> None:
    async def work(simulation: Simulation) -> None:
        link = simulation.rigs[0].port.link
        line = Line(link)
        execute(simulation, "van-01 mute")
        line.send(b"ATI\r")
        with pytest.raises(AssertionError):
            await line.until(b">", within_s=0.3)
        execute(simulation, "van-01 unmute")
        assert (await line.ask(b"ATI")).endswith(b"ELM327 v1.5\r\r>")
        execute(simulation, "van-01 unplug")
        assert not link.is_symlink()
        with pytest.raises(OSError, match="Input/output error"):
            line.send(b"ATI\r")
        line.close()
        execute(simulation, "van-01 plug")
        line = Line(link)
        assert (await line.ask(b"ATI")).endswith(b"ELM327 v1.5\r\r>")
        line.close()

    run(SimulationConfig(directory=tmp_path, vehicles=1), work)


async def reports(rig: Rig, count: int) -> list[dict[str, Any]]:
    """The first objects of class TPV, after everything else that a watching client gets was checked."""
    reader, writer = await asyncio.open_connection(rig.gpsd.host, rig.gpsd.port)
    assert json.loads(await reader.readline())["class"] == "VERSION"
    writer.write(b'?WATCH={"enable":true,"json":true};\n')
    assert [json.loads(await reader.readline())["class"] for _ in range(2)] == ["DEVICES", "WATCH"]
    found: list[dict[str, Any]] = []
    while len(found) < count:
        report = json.loads(await asyncio.wait_for(reader.readline(), 5))
        if report["class"] == "TPV":
            age_s = (datetime.now(UTC) - datetime.fromisoformat(report["time"])).total_seconds()
            assert 0 < age_s < 1.5
            found.append(report)
        else:
            assert report["class"] == "SKY"
    writer.close()
    return found


def test_satellite_fixes_once_a_second_after_a_cold_start(tmp_path: Path) -> None:
    async def work(simulation: Simulation) -> None:
        rig = simulation.rigs[0]
        found = await reports(rig, 5)
        assert [r["mode"] for r in found] == [1, 1, 3, 3, 3]
        times = [datetime.fromisoformat(r["time"]) for r in found]
        assert {(b - a).total_seconds() for a, b in itertools.pairwise(times)} == {1.0}
        place = rig.vehicle.place
        assert abs(found[-1]["lat"] - place.lat_deg) < 0.01
        assert abs(found[-1]["lon"] - place.lon_deg) < 0.01

    run(SimulationConfig(directory=tmp_path, vehicles=1, cold_start_s=2), work)


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("gpspipe") is None, reason="gpspipe is in Debian's gpsd-clients")
def test_gpsds_own_client_understands_us(tmp_path: Path) -> None:
    async def work(simulation: Simulation) -> None:
        gpsd = simulation.rigs[0].gpsd
        process = await asyncio.create_subprocess_exec(
            "gpspipe", "-w", "-n", "5", f"{gpsd.host}:{gpsd.port}", stdout=subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(process.communicate(), 20)
        classes = [json.loads(line)["class"] for line in output.splitlines()]
        assert classes[:3] == ["VERSION", "DEVICES", "WATCH"]
        assert "TPV" in classes

    run(SimulationConfig(directory=tmp_path, vehicles=1), work)


def test_what_is_written_about_each_vehicle(tmp_path: Path) -> None:
    async def work(simulation: Simulation) -> None:
        for rig in simulation.rigs:
            facts = json.loads((tmp_path / rig.name / "simulator.json").read_text("utf-8"))
            assert facts["vin"] == rig.vehicle.vin
            assert Path(facts["obd_port"]).is_char_device()
            fragment = tomllib.loads(facts["device_toml"])
            assert fragment["obd"]["port"] == facts["obd_port"]
            assert fragment["gps"]["port"] == rig.gpsd.port

    run(SimulationConfig(directory=tmp_path, vehicles=4, has_head_start=True), work)
    assert not list(tmp_path.glob("*/obd"))


def test_time_runs_as_fast_as_asked(tmp_path: Path) -> None:
    async def work(simulation: Simulation) -> None:
        rig = simulation.rigs[0]
        while simulation.clock_s() < 60:
            await asyncio.sleep(0.02)
        before_s = simulation.clock_s()
        rig.advance()
        assert before_s - 1 <= rig.vehicle.clock_s <= simulation.clock_s()
        assert rig.vehicle.distance_m > 50

    run(SimulationConfig(directory=tmp_path, vehicles=1, speed_factor=100), work)
