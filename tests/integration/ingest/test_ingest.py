"""Ingest over a real broker: kills, restarts, duplicates, a full stream. Nothing lost, nothing twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
import random
import subprocess
import sys
import time

import nats
import pytest

from cloud.config import IngestConfig, LimitsConfig, NatsConfig
from cloud.ingest.broker import Broker
from cloud.ingest.pipeline import Message
from cloud.ingest.source import DURABLE, connect, ensure_stream
from cloud.telemetry.ledger_view import device_ledger
from cloud.telemetry.store import TelemetryStore
from cloud.telemetry.verify import VerifyReport, verify
from sync_protocol.errors import Unavailable
from sync_protocol.messages import StreamState
from sync_protocol.subjects import STREAM
from tests.support.fleet import FakeDevice, Plane
from tests.support.frames import CheapFleet, Drive

FAST = IngestConfig(
    commit_window_s=0.05, ack_delay_s=0.0, limits=LimitsConfig(frames_per_s=1e6, frames_burst=1_000_000)
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(NatsConfig(port=0, stream_bytes=64 * 1024**2, disk_reserve_bytes=0), tmp_path / "nats")
    made.start()
    yield made
    made.stop()


def check(folder: Path) -> VerifyReport:
    store = TelemetryStore(folder / "telemetry.duckdb")
    store.open()
    report = store.read_sync(verify)
    store.close()
    assert report.problems == []
    return report


class Child:
    """Ingest in a process of its own, to be killed."""

    def __init__(self, folder: Path, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fleet", str(folder), url], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        raise AssertionError("ingest did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.mark.slow
def test_killed_again_and_again_nothing_is_lost_or_doubled(tmp_path: Path, broker: Broker) -> None:
    drives = [Drive(seed, rows=4) for seed in range(4)]
    frames = [{seq: drive.frame(seq) for seq in range(1, 251)} for drive in drives]
    rng = random.Random(3)

    async def scenario() -> None:
        child = Child(tmp_path, broker.url)
        client = await nats.connect(broker.url)
        devices = [await FakeDevice(client, f"van-{i}").listen() for i in range(4)]
        for turn in range(5):
            for seq in range(turn * 50 + 1, turn * 50 + 51):
                for device, sent in zip(devices, frames, strict=True):
                    await device.send(sent[seq])
            await client.flush()
            await asyncio.sleep(rng.uniform(0.0, 0.25))  # somewhere between taking, committing and acknowledging
            child.kill()
            child = Child(tmp_path, broker.url)
        for device, drive, sent in zip(devices, drives, frames, strict=True):
            await device.until_acked(drive.stream_id, sent)
        await client.close()
        child.kill()

    asyncio.run(scenario())
    report = check(tmp_path)
    assert (report.frames, report.doubled) == (1000, 0)
    assert report.samples == 1000 * 4 * 30


def test_acknowledged_frames_are_committed(tmp_path: Path, broker: Broker) -> None:
    """Whatever was acknowledged when the process died is in the store."""
    drive = Drive(1, rows=4)
    frames = {seq: drive.frame(seq) for seq in range(1, 401)}

    async def scenario() -> int:
        child = Child(tmp_path, broker.url)
        client = await nats.connect(broker.url)
        device = await FakeDevice(client, "van-1").listen()
        for data in frames.values():
            await device.send(data)
        await device.until(lambda: drive.stream_id in device.acked)
        child.kill()
        await client.close()
        return device.acked[drive.stream_id].count()

    acked = asyncio.run(scenario())
    report = check(tmp_path)
    assert report.frames >= acked > 0


def test_a_broker_that_dies_is_back_on_its_port_with_its_stream(tmp_path: Path) -> None:
    drive = Drive(1, rows=4)
    frames = {seq: drive.frame(seq) for seq in range(1, 101)}
    plane = Plane(tmp_path, ingest=FAST)
    plane.open()

    async def scenario() -> None:
        supervisor = asyncio.create_task(plane.broker.supervise())
        async with plane.running() as client:
            device = await FakeDevice(client, "van-1").listen()
            for seq in range(1, 51):
                await device.send(frames[seq])
            url = plane.broker.url
            assert plane.broker._child is not None
            plane.broker._child.kill()
            await device.until(lambda: plane.broker.restarts == 1)
            assert plane.broker.url == url
            await device.until(lambda: client.is_connected)
            await device.until_acked(drive.stream_id, frames)
        supervisor.cancel()

    asyncio.run(scenario())
    plane.close()
    assert check(tmp_path).frames == 100


def test_a_full_stream_refuses_and_nothing_is_lost(tmp_path: Path) -> None:
    """Ingest stands still, the stream fills up and discards the new; a device that sends again loses nothing."""
    broker = Broker(NatsConfig(port=0, disk_reserve_bytes=0), tmp_path / "nats")
    broker.start()
    fleet = CheapFleet(1)
    frames = {seq: fleet.next(0) for seq in range(1, 1001)}

    async def scenario() -> int:
        maker = await connect(broker.url, "maker")
        await ensure_stream(maker, 60_000)
        device = await FakeDevice(maker, "van-1").listen()
        for data in frames.values():
            await device.send(data)
        await maker.flush()
        held = 0
        async with asyncio.timeout(10):
            while not held:  # the broker stores what was published without a reply after it has answered the flush
                held = (await maker.jetstream().stream_info(STREAM)).state.messages
        plane = Plane(tmp_path, ingest=FAST, broker=broker)
        plane.open()
        broker._limit = 60_000
        async with plane.running():
            await device.until_acked(fleet.streams[0], frames, timeout_s=60, resend_s=0.3)
            info = await maker.jetstream().consumer_info(STREAM, DURABLE)
            assert info.num_pending == 0
        await maker.close()
        plane.close()
        return held

    held = asyncio.run(scenario())
    assert 0 < held < 1000
    assert check(tmp_path).frames == 1000
    broker.stop()


def test_hellos_are_answered_after_what_came_before(tmp_path: Path) -> None:
    drive = Drive(1, rows=4)
    plane = Plane(tmp_path, ingest=FAST)
    plane.open()

    async def scenario() -> None:
        async with plane.running() as client:
            device = await FakeDevice(client, "van-1").listen()
            for seq in range(1, 201):
                await device.send(drive.frame(seq))
            await device.hello(StreamState(drive.stream_id, True, 210, (), ((1, 205),)))
            await device.until(lambda: device.answers)
            assert device.answers[0].streams[0].stored == ((1, 200),)
            stored = plane.store.read_sync(lambda c: c.execute("SELECT count(*) FROM frames").fetchall())
            assert stored == [(200,)]

    asyncio.run(scenario())
    (view,) = plane.store.read_sync(lambda cursor: device_ledger(cursor, 1, 1))
    assert view.pending == [(201, 205)]
    assert [(lost.first, lost.last) for lost in view.lost] == [(206, 210)]
    plane.close()


def test_a_failed_commit_ends_ingest(tmp_path: Path) -> None:
    plane = Plane(tmp_path, ingest=FAST)
    plane.open()
    plane.store.write_sync(lambda cursor: cursor.execute("DROP TABLE ledger_range"))

    async def scenario() -> None:
        task = asyncio.create_task(plane.ingest.run())
        await plane.ingest.is_ready.wait()
        client = await nats.connect(plane.broker.url)
        await (await FakeDevice(client, "van-1").listen()).send(Drive(1, rows=4).frame(1))
        await client.flush()
        with pytest.raises(ExceptionGroup):
            await asyncio.wait_for(task, 15)
        await client.close()

    asyncio.run(scenario())
    plane.close()


def test_replay_goes_through_the_ordinary_way(tmp_path: Path) -> None:
    plane = Plane(tmp_path, ingest=FAST)
    plane.open()
    drive = Drive(1, rows=4)

    async def scenario() -> None:
        async with plane.running() as client:
            device = await FakeDevice(client, "van-1").listen()
            plane.ingest.replay([Message(device.subject, drive.frame(seq), time.time_ns() // 1000) for seq in (1, 2)])
            await device.until(lambda: device.acked.get(drive.stream_id))
            assert device.acked[drive.stream_id].pairs() == ((1, 2),)

    asyncio.run(scenario())
    plane.close()
    assert check(tmp_path).frames == 2


def test_no_broker_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="broker"):
        asyncio.run(connect("nats://127.0.0.1:1", "test", patience_s=0.5))
    plain = Broker(NatsConfig(url="nats://127.0.0.1:1"), tmp_path)
    plain.start()
    assert plain.is_running
    assert not plain.is_embedded


def test_a_port_that_is_taken_is_said_with_the_servers_own_words(tmp_path: Path, broker: Broker) -> None:
    port = int(broker.url.rpartition(":")[2])
    second = Broker(NatsConfig(port=port, disk_reserve_bytes=0), tmp_path / "second")
    with pytest.raises(Unavailable, match="address already in use"):
        second.start()


def test_the_broker_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from cloud.config import NatsConfig;"
        "from cloud.ingest.broker import Broker;"
        "b = Broker(NatsConfig(port=0, disk_reserve_bytes=0), Path(sys.argv[1])); b.start();"
        "print(b._child.pid, flush=True); os._exit(9)"
    )
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    pid = int(out.stdout.strip().splitlines()[-1])
    until = time.monotonic() + 10
    while time.monotonic() < until and Path(f"/proc/{pid}/status").exists():
        if "\tZ" in Path(f"/proc/{pid}/status").read_text():
            break
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{pid}").exists()
