"""What can happen to a cloud: put back from yesterday's copy, its disk filled by others. Nothing is lost or doubled."""

from collections.abc import Iterator
from pathlib import Path
import shutil
import socket
import subprocess

import pytest

from tests.e2e.test_outbox_fates import FRAMES, agent_in, assert_all_stored_once, run_until, stop
from tests.support.cloud_process import CloudProcess
from tests.support.fleet_processes import SimulatedVehicle, simulated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def vehicles(tmp_path: Path) -> Iterator[list[SimulatedVehicle]]:
    with simulated(tmp_path, "-n", "1", "--kinds", "compact") as found:
        yield found


@pytest.mark.parametrize("restored", ["everything", "telemetry only"])
def test_a_cloud_restored_from_yesterday(tmp_path: Path, vehicles: list[SimulatedVehicle], restored: str) -> None:
    """The device was told that frames are stored, kept them all the same, and gives the day back."""
    cloud = CloudProcess(
        tmp_path / "cloud", MILEPOST__INGEST__ACK_DELAY_S="0.2", MILEPOST__NATS__PORT=free_port()
    ).start()
    agent = agent_in(tmp_path / "box", vehicles[0], cloud)
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
    tmp_path: Path, small_disk: Path, vehicles: list[SimulatedVehicle]
) -> None:
    """Nothing is acknowledged that is not stored; when there is room again everything arrives."""
    cloud = CloudProcess(
        small_disk / "cloud", MILEPOST__INGEST__ACK_DELAY_S="0.2", MILEPOST__NATS__PORT=free_port()
    ).start()
    agent = agent_in(tmp_path / "box", vehicles[0], cloud)
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
