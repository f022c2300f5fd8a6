"""`milepost scan` on vehicles that are no fakes of ours, and the agent's sensor with the profile that comes of it."""

import asyncio
from pathlib import Path
import tempfile

from click.testing import CliRunner, Result
import msgspec
import pytest

from edge import cli
from edge.app import Agent
from edge.clock import SystemClock
from edge.commands.loading import load
from edge.control import ask
from edge.notify import SystemdNotifier
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.profile import load_profiles
from edge.sensors.obd.scan_report import ScanReport
from edge.sensors.obd.sensor import ObdSensor
from edge.simulator.elm327 import Latency
from edge.simulator.simulation import Simulation, SimulationConfig
from sync_protocol.errors import Unavailable
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import boot_ms
from tests.support.elm_peer import elm_peer
from tests.support.sensor_runs import running, until

_WIDTH = {"COLUMNS": "80"}
BATTERY_ID = catalogue().by_name["battery_v"].id


def scan(*options: str, config: Path | None = None) -> Result:
    before = () if config is None else ("--config", str(config))
    return CliRunner(env=_WIDTH).invoke(cli.root, [*before, "scan", *options])


def expected_ids(report: ScanReport) -> set[int]:
    """Signals of the PIDs that were answered, without those that the profile skips or that had no value."""
    names = {name for finding in report.found("answered") for name in finding.values}
    return {catalogue().by_name[name].id for name in names - set(report.skip)} | {BATTERY_ID}


async def read_with(
    link: Path, folder: Path, wanted: set[int], profile: str = "auto"
) -> tuple[set[int], dict[str, object]]:
    """What the agent's sensor reads with the profile in `folder` when everything was due at least twice."""
    often = {s.name: 1.0 for s in catalogue().signals if s.period_s > 1 and s.id in wanted}
    config = ObdConfig(port=str(link), profile_dir=str(folder), profile=profile, periods_s=often)
    sensor = ObdSensor(config, boot_ms)
    async with running(sensor) as sink:
        await until(lambda: wanted <= {i for _, _, values in sink.rows for i in values}, 30)
        rows = len(sink.rows)
        await until(lambda: len(sink.rows) >= rows + 4)
        facts: dict[str, object] = dict(sensor.state().facts)
    assert "no_data" not in {kind for _, _, kind in sink.marks}  # nothing was asked in vain
    return {i for _, _, values in sink.rows for i in values}, facts


@pytest.mark.parametrize("kind", ["car", "truck"])
def test_a_simulated_vehicle_there_and_back(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()

    async def scenario() -> None:
        config = SimulationConfig(directory=tmp_path / "sim", vehicles=1, kinds=(kind,), routes=("fast",))
        async with Simulation(config) as simulation:
            rig = simulation.rigs[0]
            rig.offset_s = 60.0
            link = str(rig.port.link)
            target = folder / f"{kind}.toml"
            shown = await asyncio.to_thread(scan, "--port", link, "-o", str(target))
            assert shown.exit_code == 0, shown.output
            assert max(map(len, shown.output.splitlines()[:-6])) <= 80  # paths are as long as they are
            assert f"VIN begins {rig.vehicle.vin[:3]}" in shown.output
            assert rig.vehicle.vin not in shown.output + target.read_text()
            first = target.read_text()
            refused = await asyncio.to_thread(scan, "--port", link, "-o", str(target))
            assert (refused.exit_code, "--force" in refused.output) == (1, True)
            again = await asyncio.to_thread(scan, "--port", link, "-o", str(target), "--force", "--json")
            report = msgspec.json.decode(again.stdout, type=ScanReport)
            assert again.exit_code == 0
            assert target.read_text().splitlines()[:3] == first.splitlines()[:3]
            assert {int(finding.pid, 16) for finding in report.found("answered")} == set(rig.vehicle.kind.pids)
            assert not report.found("unanswered")
            assert not report.found("unannounced")
            assert len(report.computers[0].pids) == len(rig.vehicle.kind.pids)
            profile = load_profiles(str(folder))[kind]
            assert profile.match.wmis == (rig.vehicle.vin[:3],)
            wanted = expected_ids(report)
            seen, facts = await read_with(rig.port.link, folder, wanted)
            assert seen == wanted
            assert facts["profile"] == kind

    asyncio.run(asyncio.wait_for(scenario(), 120))


def test_a_vehicle_with_its_ignition_off_is_said_to_be(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = SimulationConfig(directory=tmp_path / "sim", vehicles=1, kinds=("car",), speed_factor=1e-6)
        async with Simulation(config) as simulation:
            rig = simulation.rigs[0]
            rig.vehicle.has_ignition = rig.vehicle.is_running = False
            shown = await asyncio.to_thread(scan, "--port", str(rig.port.link), "-o", str(tmp_path / "x.toml"))
            assert shown.exit_code == 1
            assert "Switch the ignition on" in shown.output
            assert not (tmp_path / "x.toml").exists()

    asyncio.run(asyncio.wait_for(scenario(), 60))
    shown = scan("--port", str(tmp_path / "nothing"), "-o", str(tmp_path / "x.toml"))
    assert (shown.exit_code, "adapter plugged in" in shown.output) == (1, True)


@pytest.mark.parametrize("scenario", ["drive", "car"])
def test_an_emulated_vehicle_there_and_back(tmp_path: Path, scenario: str) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    with elm_peer(tmp_path, scenario) as elm:
        shown = scan("--port", str(elm.link), "-o", str(folder / "emulated.toml"), "--json")
        assert shown.exit_code == 0, shown.output
        report = msgspec.json.decode(shown.stdout, type=ScanReport)
        assert len(report.found("answered")) >= (9 if scenario == "drive" else 30)
        wanted = expected_ids(report)
        profile = "auto" if scenario == "drive" else "emulated"  # "car" says another VIN each time it is asked
        seen, facts = asyncio.run(asyncio.wait_for(read_with(elm.link, folder, wanted, profile), 60))
        assert seen == wanted
        assert facts["profile"] == "emulated"


def test_through_the_running_agent_which_goes_on_measuring(tmp_path: Path) -> None:
    async def scenario(folder: Path) -> None:
        latency = Latency(ecu_s=0.003, wait_s=0.005, command_s=0.001, reset_s=0.1, search_s=0.2, baud=0)
        config = SimulationConfig(
            directory=folder / "sim", vehicles=1, kinds=("van",), routes=("fast",), latency=latency
        )
        async with Simulation(config) as simulation:
            rig = simulation.rigs[0]
            rig.offset_s = 60.0
            path = folder / "device.toml"
            path.write_text(
                f'tenant = "acme"\ndevice = "van-1"\nstate_dir = "{folder}/state"\n[uplink]\nenabled = false\n'
                f'[obd]\nport = "{rig.port.link}"\n[gps]\nenabled = false\n[outbox]\nsize_mb = 1\nballast_kb = 0\n'
            )
            stop, device = asyncio.Event(), load(path)
            agent = Agent(device, SystemClock(), SystemdNotifier({}))
            running_agent = asyncio.create_task(agent.run(stop))
            try:
                await _ready(device.socket_path)
                target = tmp_path / "van.toml"
                before = await _rows(device.socket_path)
                shown = await asyncio.to_thread(scan, "-o", str(target), "--json", config=path)
                assert shown.exit_code == 0, shown.output
                report = msgspec.json.decode(shown.stdout, type=ScanReport)
                assert {int(finding.pid, 16) for finding in report.found("answered")} == set(rig.vehicle.kind.pids)
                assert target.exists()
                assert await _rows(device.socket_path) > before
                status = await asyncio.to_thread(ask, device.socket_path, "status")
                assert not [name for name in status["sensors"]["obd"]["facts"] if name.startswith("errors")]
                held = await asyncio.to_thread(scan, "--port", str(rig.port.link), "-o", str(tmp_path / "x.toml"))
                assert (held.exit_code, "Only one program" in held.output) == (1, True)  # knows of no agent

                rig.vehicle.driver.is_held, rig.vehicle.driver.phase = True, "parked"  # at once, wherever it is
                await _asleep(device.socket_path)
                silent = await asyncio.to_thread(scan, "-o", str(tmp_path / "y.toml"), config=path)
                assert (silent.exit_code, "Switch the ignition on" in silent.output) == (1, True)
            finally:
                stop.set()
                await asyncio.wait([running_agent], timeout=10)

    with tempfile.TemporaryDirectory(prefix="mp") as name:  # short: the path of a Unix socket
        asyncio.run(asyncio.wait_for(scenario(Path(name)), 90))


async def _rows(socket_path: Path) -> int:
    status = await asyncio.to_thread(ask, socket_path, "status")
    return int(status["sensors"]["obd"]["facts"]["rows"])


async def _ready(socket_path: Path) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if await _rows(socket_path) > 2:
                    return
            except Unavailable:
                pass
            await asyncio.sleep(0.1)


async def _asleep(socket_path: Path) -> None:
    async with asyncio.timeout(40):
        while (await asyncio.to_thread(ask, socket_path, "status"))["sensors"]["obd"]["link"] != "closed":
            await asyncio.sleep(0.2)
