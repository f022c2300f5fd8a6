"""What can happen to a cloud: put back from yesterday's copy, its disk filled by others, its files damaged.

Nothing is lost or doubled.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
import shutil
import socket
import sqlite3
import subprocess

import pytest

from tests.e2e.test_outbox_fates import FRAMES, assert_all_stored_once, run_until, stop
from tests.support.cloud_process import CloudProcess, eventually
from tests.support.fleet_processes import Agent, SimulatedVehicle, simulated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
FEW = 3


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def vehicles(tmp_path: Path) -> Iterator[list[SimulatedVehicle]]:
    with simulated(tmp_path, "-n", "2", "--kinds", "compact,car") as found:
        yield found


@pytest.fixture
def make_cloud() -> Iterator[Callable[[Path], CloudProcess]]:
    """Starts a cloud on a port that stays; whatever becomes of the test, none is left running."""
    made: list[CloudProcess] = []

    def make(data_dir: Path) -> CloudProcess:
        made.append(CloudProcess(data_dir, MILEPOST__INGEST__ACK_DELAY_S="0.2", MILEPOST__NATS__PORT=free_port()))
        return made[-1].start()

    yield make
    for cloud in made:
        cloud.kill()


@pytest.fixture
def make_agent(tmp_path: Path) -> Iterator[Callable[[str, SimulatedVehicle, CloudProcess], Agent]]:
    """Makes agents that are stopped; whatever becomes of the test, none is left running."""
    made: list[Agent] = []

    def make(device: str, vehicle: SimulatedVehicle, cloud: CloudProcess) -> Agent:
        made.append(Agent(tmp_path / device, device, vehicle.device_toml, cloud.nats_url, frame_period_s=1.0))
        return made[-1]

    yield make
    for agent in made:
        agent.kill()


MakeCloud = Callable[[Path], CloudProcess]
MakeAgent = Callable[[str, SimulatedVehicle, CloudProcess], Agent]


@pytest.mark.parametrize("restored", ["everything", "telemetry only"])
def test_a_cloud_restored_from_yesterday(
    tmp_path: Path, make_cloud: MakeCloud, make_agent: MakeAgent, vehicles: list[SimulatedVehicle], restored: str
) -> None:
    """The device was told that frames are stored, kept them all the same, and gives the day back."""
    cloud = make_cloud(tmp_path / "cloud")
    agent = make_agent("van-1", vehicles[0], cloud)
    agent.start()
    run_until(agent, FRAMES)
    assert cloud.stop() == 0
    yesterday = tmp_path / "yesterday"
    shutil.copytree(cloud.data_dir, yesterday, ignore=shutil.ignore_patterns("*.sock", "*.ports"))
    cloud.start()
    run_until(agent, FRAMES)
    assert cloud.stop() == 0
    names = {"everything": "*", "telemetry only": "telemetry.duckdb*"}[restored]
    for found in cloud.data_dir.glob(names):
        shutil.rmtree(found) if found.is_dir() else found.unlink()
    for found in yesterday.glob(names):
        (shutil.copytree if found.is_dir() else shutil.copy)(found, cloud.data_dir / found.name)
    cloud.start()
    run_until(agent, FRAMES)
    ledger = stop(agent)
    assert (ledger.lost, ledger.forked) == (0, 0)
    assert_all_stored_once(cloud, [agent.outbox])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill_up(folder: Path) -> Path:
    """What another process does to the disk."""
    others = folder / "others"
    with others.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return others


@pytest.mark.peer
def test_the_disk_of_the_cloud_is_filled_by_others(
    small_disk: Path, make_cloud: MakeCloud, make_agent: MakeAgent, vehicles: list[SimulatedVehicle]
) -> None:
    """Nothing is acknowledged that is not stored; when there is room again everything arrives."""
    cloud = make_cloud(small_disk / "cloud")
    agent = make_agent("van-1", vehicles[0], cloud)
    agent.start()
    run_until(agent, FRAMES)
    others = fill_up(small_disk)
    assert cloud.wait(60) == 69, "it ends, and whoever supervises it starts it again"
    assert "no space left on the disk" in cloud.log()
    assert "Traceback" not in cloud.log()
    others.unlink()
    cloud.start()
    run_until(agent, FRAMES)
    ledger = stop(agent)
    assert (ledger.lost, ledger.forked) == (0, 0)
    assert_all_stored_once(cloud, [agent.outbox])


@pytest.mark.peer
def test_the_disk_of_the_broker_alone_is_filled_by_others(
    tmp_path: Path, small_disk: Path, make_cloud: MakeCloud, make_agent: MakeAgent, vehicles: list[SimulatedVehicle]
) -> None:
    """Its stream would go on refusing every frame, with nobody told, when there is room again."""
    (small_disk / "nats").mkdir()
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "nats").symlink_to(small_disk / "nats")
    cloud = make_cloud(tmp_path / "cloud")
    agent = make_agent("van-1", vehicles[0], cloud)
    agent.start()
    run_until(agent, FRAMES)
    others = fill_up(small_disk)
    assert cloud.wait(60) == 69, "it ends, and whoever supervises it starts it again"
    assert "no space left on the disk" in cloud.log()
    others.unlink()
    cloud.start()
    run_until(agent, FRAMES)
    assert (stop(agent).lost, stop(agent).forked) == (0, 0)
    assert_all_stored_once(cloud, [agent.outbox])


def overwritten(data: bytes) -> bytes:
    """A sector in the middle, and every tenth behind it, is another file's."""
    out = bytearray(data)
    for at in range(len(out) // 2, len(out), 40_960):
        out[at : at + 4096] = b"another file" * 341
    return bytes(out)


def derived_streams(cloud: CloudProcess) -> dict[int, int]:
    """By device, the number of the stream that derive stands in."""
    with sqlite3.connect(f"file:{cloud.data_dir / 'fleet.db'}?mode=ro", uri=True) as db:
        return dict(db.execute("SELECT device_id, stream_no FROM derive_cursors"))


def refuses(cloud: CloudProcess, *words: str) -> None:
    """It ends with one line and exit code 69, and every file is as it was."""
    before = {file: file.read_bytes() for file in cloud.data_dir.glob("telemetry.duckdb*")}
    cloud.launch()
    assert cloud.wait(60) == 69
    last = cloud.log().splitlines()[-1]
    assert all(word in last for word in words), last
    assert "Traceback" not in cloud.log()
    assert {file: file.read_bytes() for file in cloud.data_dir.glob("telemetry.duckdb*")} == before


def test_a_damaged_store_is_set_aside_and_filled_again_by_the_devices(
    tmp_path: Path,
    make_cloud: MakeCloud,
    make_agent: MakeAgent,
    vehicles: list[SimulatedVehicle],
) -> None:
    """Also when the devices come back in another order than they once came first."""
    cloud = make_cloud(tmp_path / "cloud")
    agents = [make_agent(f"van-{n}", vehicle, cloud) for n, vehicle in enumerate(vehicles, 1)]
    for agent in agents:
        agent.start()
        run_until(agent, FEW)
    for agent in agents:
        stop(agent)
    eventually(lambda: derived_streams(cloud) == {1: 1, 2: 2}, "derive")
    assert cloud.stop() == 0
    store = cloud.data_dir / "telemetry.duckdb"
    store.write_bytes(overwritten(store.read_bytes()))
    refuses(cloud, str(store), "damaged", "Put a copy back", "docs/ops/faults.md")

    for file in cloud.data_dir.glob("telemetry.duckdb*"):
        file.rename(tmp_path / file.name)
    cloud.start()
    for agent in reversed(agents):
        agent.start()
        run_until(agent, FEW)
    ledgers = [stop(agent) for agent in agents]
    assert all((ledger.lost, ledger.forked) == (0, 0) for ledger in ledgers)
    eventually(lambda: derived_streams(cloud) == {1: 4, 2: 3}, "derive goes on, and takes no stream for another")
    assert_all_stored_once(cloud, [agent.outbox for agent in agents])


def test_a_damaged_log_of_the_store_is_moved_away(
    tmp_path: Path, make_cloud: MakeCloud, make_agent: MakeAgent, vehicles: list[SimulatedVehicle]
) -> None:
    """What was committed since the store's last checkpoint is only in there. The devices still have it."""
    cloud = make_cloud(tmp_path / "cloud")
    agent = make_agent("van-1", vehicles[0], cloud)
    agent.start()
    run_until(agent, FEW)
    assert cloud.stop() == 0
    cloud.start()
    run_until(agent, FEW)
    cloud.kill()
    log = cloud.data_dir / "telemetry.duckdb.wal"
    log.write_bytes(overwritten(log.read_bytes()))
    refuses(cloud, str(log), "Move this log elsewhere")

    log.rename(tmp_path / log.name)
    cloud.start()
    run_until(agent, FEW)
    ledger = stop(agent)
    assert (ledger.lost, ledger.forked) == (0, 0)
    assert_all_stored_once(cloud, [agent.outbox])


def test_a_damaged_relational_database_is_named_and_left_alone(tmp_path: Path, make_cloud: MakeCloud) -> None:
    cloud = make_cloud(tmp_path / "cloud")
    assert cloud.stop() == 0
    fleet = cloud.data_dir / "fleet.db"
    harmed = overwritten(fleet.read_bytes())
    fleet.write_bytes(harmed)
    done = cloud.command("verify")
    assert done.exit_code == 69
    assert "fleet.db" in done.stderr
    assert "put back a copy" in done.stderr
    assert fleet.read_bytes() == harmed
