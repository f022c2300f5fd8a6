"""A device one version newer than its cloud, and one as old as the first release, over a real broker."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import shutil
import subprocess
import sys

import msgspec
import nats
import pytest

from cloud.telemetry.store import TelemetryStore
from cloud.telemetry.verify import verify
from sync_protocol.header import HEADER_BYTES, ZSTD, pack_header, read_header
from sync_protocol.messages import StreamState
from tests.support.broker_process import BrokerProcess
from tests.support.fleet import FakeDevice, Plane
from tests.support.frames import Drive
from tests.support.golden import read_golden

ROOT = Path(__file__).parents[3]
GOLDEN = sorted((ROOT / "tests" / "data" / "frames").glob("v*/*.bin"))
FRAMES = 20


def with_the_next_dictionary(frame: bytes) -> bytes:
    """As a device of the next release makes it, whose dictionary 2 begins as dictionary 1 stands today."""
    header = read_header(frame)
    assert header.coding == ZSTD + 1
    return pack_header(msgspec.structs.replace(header, coding=ZSTD + 2)) + frame[HEADER_BYTES:]


@contextmanager
def cloud(source: Path, data_dir: Path, broker_url: str) -> Iterator[None]:
    """The data plane as its own process, of the source tree given."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fleet", str(data_dir), broker_url],
        cwd=source, env={**os.environ, "PYTHONPATH": str(source)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert b"ready\n" in iter(process.stdout.readline, b""), "its log stands before"
        yield
    finally:
        process.kill()
        process.wait(20)
        process.stdout.close()


def next_release(to: Path) -> Path:
    """This source, with one dictionary more."""
    for name in ("sync_protocol", "cloud", "tests/support"):
        unwanted = shutil.ignore_patterns("web", "__pycache__")
        shutil.copytree(ROOT / name, to / name, ignore=unwanted)
    dictionaries = to / "sync_protocol" / "dictionaries"
    shutil.copy(dictionaries / "1.zdict", dictionaries / "2.zdict")
    return to


@pytest.mark.slow
def test_frames_of_a_newer_device_wait_until_the_cloud_is_upgraded(tmp_path: Path) -> None:
    drive = Drive(1)
    old = {seq: drive.frame(seq) for seq in range(1, 2 * FRAMES + 1, 2)}
    new = {seq: with_the_next_dictionary(drive.frame(seq)) for seq in range(2, 2 * FRAMES + 1, 2)}
    last = 2 * FRAMES + 1
    data_dir = tmp_path / "data"

    def store() -> TelemetryStore:
        opened = TelemetryStore(data_dir / "telemetry.duckdb")
        opened.open()
        return opened

    async def scene() -> None:
        async with BrokerProcess(tmp_path / "nats") as broker:
            client = await nats.connect(broker.url)
            device = await FakeDevice(client, "van-1").listen()
            with cloud(ROOT, data_dir, broker.url):
                for _ in range(2):  # sent again, as a device does that hears nothing
                    for seq in range(1, last):
                        await device.send((old | new)[seq])
                await device.send(drive.frame(last))
                await device.until_acked(drive.stream_id, old | {last: drive.frame(last)})
                await device.hello(StreamState(drive.stream_id, True, last, held=((1, last),)))
                await device.until(lambda: bool(device.answers))
                (answer,) = device.answers[-1].streams
                known = [seq for first, to in answer.stored for seq in range(first, to + 1)]
                assert known == [*sorted(old), last]
                assert answer.quarantined == ()
                assert answer.gaps == ()
                assert not any(seq in device.acked[drive.stream_id] for seq in new)
            opened = store()
            kept = opened.read_sync(lambda c: c.execute("SELECT kind, count(*) FROM quarantine GROUP BY 1").fetchall())
            opened.close()
            assert kept == [("unavailable", FRAMES)], "their bytes are kept, each once"

            with cloud(next_release(tmp_path / "next"), data_dir, broker.url):
                for seq in new:
                    await device.send(new[seq])
                await device.until_acked(drive.stream_id, new)
            await client.close()

    asyncio.run(scene())
    opened = store()
    stored = opened.read_sync(lambda c: c.execute("SELECT count(*), count(DISTINCT seq) FROM frames").fetchone())
    opened.close()
    assert stored == (last, last)


def test_every_frame_that_was_ever_released_is_taken(tmp_path: Path) -> None:
    frames = [read_golden(path) for path in GOLDEN]
    assert frames
    plane = Plane(tmp_path)
    plane.open()

    async def scene() -> None:
        async with plane.running() as client:
            device = await FakeDevice(client, "van-1").listen()
            for golden, data in frames:
                await device.send(data)
                await device.until_acked(golden.stream_id, {golden.seq: data})

    asyncio.run(scene())
    report = plane.store.read_sync(verify)
    plane.close()
    assert report.problems == []
    assert report.frames == len({(golden.stream_id, golden.seq) for golden, _ in frames})
