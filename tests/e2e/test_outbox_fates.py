"""What can happen to an outbox: wiped, put back from an older copy, cloned. Every sample arrives, and once."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
import shutil
import sqlite3

import duckdb
import pytest

from edge.control import ask
from edge.ledger_view import LedgerView, read_ledger
from sync_protocol.errors import MilepostError
from sync_protocol.header import frame_crc, read_header
from tests.support.caller import read
from tests.support.cloud_process import CloudProcess, eventually
from tests.support.fleet_processes import Agent, SimulatedVehicle, simulated
from tests.torture.compare import Sample, committed, samples_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
FRAMES = 6
AgentIn = Callable[[Path, SimulatedVehicle, CloudProcess], Agent]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudProcess]:
    """A cloud that acknowledges soon."""
    process = CloudProcess(tmp_path / "cloud", MILEPOST__INGEST__ACK_DELAY_S="0.2").start()
    yield process
    process.kill()


@pytest.fixture
def vehicles(tmp_path: Path) -> Iterator[list[SimulatedVehicle]]:
    """Two vehicles, so that two agents with one identity measure different things."""
    with simulated(tmp_path, "-n", "2", "--kinds", "compact,car") as found:
        yield found


@pytest.fixture
def agent_in() -> Iterator[AgentIn]:
    """Makes the device `van-1`, whichever vehicle it is in; whatever becomes of the test, none is left running."""
    made: list[Agent] = []

    def make(home: Path, vehicle: SimulatedVehicle, cloud: CloudProcess) -> Agent:
        made.append(Agent(home, "van-1", vehicle.device_toml, cloud.nats_url, frame_period_s=1.0))
        return made[-1]

    yield make
    for agent in made:
        agent.kill()


def run_until(agent: Agent, frames: int) -> None:
    """Let the agent, already started, commit at least so many more frames and see all but the newest acknowledged."""
    began = _frames(agent)["committed"]

    def is_there() -> bool:
        now = _frames(agent)
        return now["committed"] >= began + frames and now["pending"] <= 1

    eventually(is_there, f"{frames} more frames of {agent.device} acknowledged", 60)


def _frames(agent: Agent) -> dict[str, int]:
    try:
        found: dict[str, int] = ask(agent.socket, "status")["frames"]
    except MilepostError:
        return {"committed": 0, "pending": 1}
    return found


def stop(agent: Agent) -> LedgerView:
    """End the agent with nothing left to send."""
    for _ in range(5):
        agent.stop()
        ledger = read_ledger(agent.outbox)
        if not ledger.pending:
            return ledger
        agent.start()
        eventually(lambda: _frames(agent)["pending"] <= 1, "the last words acknowledged", 60)
    raise AssertionError("the agent never ended with everything acknowledged")


def keep(outbox: Path, to: Path) -> Path:
    """A copy of an outbox whose agent has stopped, its log folded in."""
    with sqlite3.connect(outbox) as source, sqlite3.connect(to) as target:
        source.backup(target)
    return to


def assert_all_stored_once(cloud: CloudProcess, outboxes: list[Path]) -> None:
    """The store's samples are exactly those of the outboxes' frames; forked ones went again under new numbers."""
    assert cloud.stop() == 0
    wanted = Counter[Sample]()
    seen: set[tuple[bytes, int, int]] = set()
    for outbox in outboxes:
        forked = {
            (bytes.fromhex(stream.stream_id), seq)
            for stream in read_ledger(outbox).streams
            for first, last in stream.forked
            for seq in range(first, last + 1)
        }
        for key, body in committed(outbox).frames.items():
            if key not in forked and (*key, frame_crc(body)) not in seen:
                seen.add((*key, frame_crc(body)))
                wanted.update(samples_of(body))
    with duckdb.connect(str(cloud.data_dir / "telemetry.duckdb"), read_only=True) as db:
        bodies = [bytes(row[0]) for row in db.execute("SELECT body FROM frames").fetchall()]
    found = Counter[Sample]()
    for body in bodies:
        found.update(samples_of(body))
    assert len({(read_header(b).stream_id, read_header(b).seq) for b in bodies}) == len(bodies)
    assert wanted - found == Counter(), "committed and not stored"
    assert found - wanted == Counter(), "stored twice, or from nowhere"


def test_a_wiped_outbox(
    tmp_path: Path, cloud: CloudProcess, vehicles: list[SimulatedVehicle], agent_in: AgentIn
) -> None:
    agent = agent_in(tmp_path / "box", vehicles[0], cloud)
    agent.start()
    run_until(agent, FRAMES)
    stop(agent)
    before = keep(agent.outbox, tmp_path / "before.db")
    for file in agent.home.glob("outbox*"):
        file.unlink()
    agent.start()
    run_until(agent, FRAMES)
    ledger = stop(agent)
    assert ledger.streams[0].stream_id != read_ledger(before).streams[0].stream_id
    assert ledger.forked == 0
    assert_all_stored_once(cloud, [before, agent.outbox])


def test_an_older_copy_put_back(
    tmp_path: Path, cloud: CloudProcess, vehicles: list[SimulatedVehicle], agent_in: AgentIn
) -> None:
    agent = agent_in(tmp_path / "box", vehicles[0], cloud)
    agent.start()
    run_until(agent, FRAMES)
    stop(agent)
    old = keep(agent.outbox, tmp_path / "old.db")
    agent.start()
    run_until(agent, FRAMES)
    stop(agent)
    newer = keep(agent.outbox, tmp_path / "newer.db")
    for file in agent.home.glob("outbox*"):
        file.unlink()
    shutil.copy(old, agent.outbox)
    agent.start()
    run_until(agent, FRAMES)
    ledger = stop(agent)
    assert len(ledger.streams) == 2, "the cloud was ahead: a new stream"
    assert_all_stored_once(cloud, [newer, agent.outbox])


def test_two_agents_with_one_identity(
    tmp_path: Path, cloud: CloudProcess, vehicles: list[SimulatedVehicle], agent_in: AgentIn
) -> None:
    first = agent_in(tmp_path / "box", vehicles[0], cloud)
    first.start()
    run_until(first, FRAMES)
    stop(first)
    second = agent_in(tmp_path / "clone", vehicles[1], cloud)
    keep(first.outbox, second.outbox)
    first.start()
    second.start()
    run_until(first, FRAMES)
    run_until(second, FRAMES)
    ledgers = stop(first), stop(second)
    assert sum(ledger.forked for ledger in ledgers) > 0
    assert read(cloud.url, "/devices/van-1")["is_forked"] is True, "the fork is shown"
    assert_all_stored_once(cloud, [first.outbox, second.outbox])
