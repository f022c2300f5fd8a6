"""What can happen to the broker under a cloud at work. A device that sends until it is acknowledged loses nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
import shutil

from nats.aio.client import Client
import pytest

from cloud.ingest.source import DURABLE
from cloud.telemetry.store import TelemetryStore
from cloud.telemetry.verify import VerifyReport, verify
from sync_protocol.subjects import STREAM
from tests.support.fleet import FakeDevice, Plane
from tests.support.frames import Drive

FRAMES = 60
HALF = FRAMES // 2


def check(folder: Path) -> VerifyReport:
    store = TelemetryStore(folder / "telemetry.duckdb")
    store.open()
    report = store.read_sync(verify)
    store.close()
    assert report.problems == []
    return report


def run(folder: Path, harm: Callable[[Plane, Client], Awaitable[None]]) -> VerifyReport:
    """Half of a drive, then the harm, then the other half, sent again until everything is acknowledged."""
    drive = Drive(1, rows=4)
    frames = {seq: drive.frame(seq) for seq in range(1, FRAMES + 1)}
    plane = Plane(folder)
    plane.open()

    async def scenario() -> None:
        supervisor = asyncio.create_task(plane.broker.supervise())
        async with plane.running() as client:
            device = await FakeDevice(client, "van-1").listen()
            for seq in range(1, HALF + 1):
                await device.send(frames[seq])
            await client.flush()
            await harm(plane, client)
            await device.until_acked(drive.stream_id, frames, timeout_s=60)
            info = await client.jetstream().consumer_info(STREAM, DURABLE)
            assert info.num_pending == 0
        supervisor.cancel()

    asyncio.run(scenario())
    plane.close()
    return check(folder)


async def delete_stream(_plane: Plane, client: Client) -> None:
    await client.jetstream().delete_stream(STREAM)


async def delete_consumer(_plane: Plane, client: Client) -> None:
    await client.jetstream().delete_consumer(STREAM, DURABLE)


async def kill(plane: Plane, client: Client) -> None:
    assert plane.broker._child is not None
    plane.broker._child.kill()
    await until(lambda: plane.broker.restarts == 1 and client.is_connected)


async def end_well(plane: Plane, client: Client) -> None:
    assert plane.broker._child is not None
    plane.broker._child.terminate()
    await until(lambda: plane.broker.restarts == 1 and client.is_connected)


async def replace_by_an_empty_one(plane: Plane, client: Client) -> None:
    """Its files are gone when it comes back: no stream, no durable, no frame that was waiting."""
    child = plane.broker._child
    assert child is not None
    plane.broker._child = None  # so that nobody starts it again meanwhile
    child.kill()
    child.wait()
    shutil.rmtree(plane.broker._folder / "jetstream")
    plane.broker.start()
    await until(lambda: client.is_connected)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("harm", [delete_stream, delete_consumer, kill, end_well, replace_by_an_empty_one])
def test_a_harmed_broker_costs_no_frame_and_doubles_none(
    tmp_path: Path, harm: Callable[[Plane, Client], Awaitable[None]]
) -> None:
    report = run(tmp_path, harm)
    assert (report.frames, report.doubled) == (FRAMES, 0)
