"""A recording of a simulated vehicle behind a pty and a gpsd on TCP gives the same when it is played: bit for bit."""

import asyncio
from pathlib import Path

from edge.config import DeviceConfig
from edge.replay.check import again, check, frames_of
from edge.replay.player import load, play
from edge.sampling.config import SamplingConfig
from edge.sensors.gps import GpsConfig
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.sensor import ObdSensor
from edge.sensors.recording import BusLine, GpsLine, Row, read_recording
from edge.simulator.control import execute
from edge.simulator.elm327 import Latency
from edge.simulator.simulation import Rig, Simulation, SimulationConfig
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import boot_ms
from tests.support.small_agent import SmallAgent
from tests.support.waiting import until

THIRD_ID = catalogue().by_name["accel_x_ms2"].id


def device(rig: Rig, folder: Path) -> DeviceConfig:
    return DeviceConfig(
        tenant="acme",
        device="van-1",
        state_dir=str(folder),
        obd=ObdConfig(port=str(rig.port.link), dtc_period_s=3.0, retry_s=0.2, retry_max_s=0.5, deadline_s=1.0),
        gps=GpsConfig(port=rig.gpsd.port, retry_s=0.2),
        sampling=SamplingConfig(frame_period_s=2.0),
    )


async def drive(path: Path, folder: Path) -> list[bytes]:
    """Record a drive on which the adapter falls silent, is pulled and comes back, and gpsd hangs up."""
    config = SimulationConfig(
        directory=folder,
        vehicles=1,
        kinds=("car",),
        routes=("fast",),
        latency=Latency(search_s=0.3, reset_s=0.1),
        cold_start_s=1,
    )
    async with Simulation(config) as simulation:
        rig = simulation.rigs[0]
        rig.offset_s = 60.0
        agent = SmallAgent(device(rig, folder))
        async with agent.recording(path):
            sensors = {sensor.name: sensor for sensor in agent.sensing.sensors}
            obd, gps = sensors["obd"], sensors["gps"]
            await until(lambda: obd.state().link == "open" and gps.state().link == "open", 20, "both")
            rig.vehicle.troubles.stored = ["P0420"]
            agent.tap.watch(3)
            # A sensor whose connection is not recorded: what it gave is in the file, and is not asked of the replay.
            agent.tap.sink("third").row("third_1s", boot_ms(), {THIRD_ID: 980})
            assert isinstance(obd, ObdSensor)
            await asyncio.sleep(1.5)
            assert await obd.read_vin() == rig.vehicle.vin  # somebody else asks through the sensor's port
            await asyncio.sleep(1.5)
            execute(simulation, f"{rig.name} mute")
            await until(lambda: obd.state().link == "failing", 20, "silence to be noticed")
            execute(simulation, f"{rig.name} unmute")
            await until(lambda: obd.state().link == "open", 20, "the adapter again")
            execute(simulation, f"{rig.name} unplug")
            port = rig.gpsd.port
            await rig.gpsd.stop()
            await until(lambda: obd.state().detail.startswith("opening /"), 20, "the loss, and another attempt")
            await until(lambda: "Connect call failed" in gps.state().detail, 20, "another attempt at gpsd")
            execute(simulation, f"{rig.name} plug")
            await rig.gpsd.start(port)
            await until(lambda: obd.state().link == "open" and gps.state().link == "open", 20, "both again")
            await asyncio.sleep(2.5)
        return [frame.encode(bytes(16), n, 1) for n, frame in enumerate(agent.frames, start=1)]


def test_the_same_at_any_speed(tmp_path: Path) -> None:
    path = tmp_path / "drive.jsonl.gz"
    live = asyncio.run(asyncio.wait_for(drive(path, tmp_path / "mp"), 120))
    recorded = load(path)
    assert recorded is not None
    lines = list(read_recording(path))
    assert {line.dir for line in lines if isinstance(line, BusLine)} >= {
        "open", "tx", "rx", "silent", "lost", "refused", "close", "end",
    }  # fmt: skip
    assert {line.dir for line in lines if isinstance(line, GpsLine)} >= {"open", "tx", "rx", "refused", "close"}
    assert any(line.is_guest for line in lines if isinstance(line, BusLine))
    assert any(THIRD_ID in line.raw for line in lines if isinstance(line, Row))
    for speed in (0, 20):
        played = play(recorded, speed=speed, is_strict=True)
        report = check(recorded, played)
        assert report.differences == []
        assert report.lines > 20
        assert report.frames > 5
        frames = frames_of(recorded, again(recorded, played))
        assert [f.encode(bytes(16), n, 1) for n, f in enumerate(frames, 1)][: len(live)] == live
