"""Many devices at once, and one that is too much, over a real broker. What is bounded is counted in messages."""

import asyncio
from pathlib import Path
import random

import nats
from nats.aio.client import Client
from nats.errors import Error
import psutil
import pytest

from cloud.config import IngestConfig, LimitsConfig
from cloud.live.hub import LiveHub
from cloud.telemetry.ledger_view import alerts
from cloud.telemetry.verify import verify
from sync_protocol.header import HEADER_BYTES, MAGIC
from sync_protocol.messages import Command, StreamState
from tests.support.fleet import FakeDevice, Plane
from tests.support.frames import Drive

CROWD = 1_000
CONNECTIONS = 10
MOST_BYTES = 32 << 20


@pytest.mark.slow
def test_a_thousand_devices_that_come_back_at_once_are_all_answered_and_hear_their_commands(tmp_path: Path) -> None:
    """The broker ends under them; each says hello and sends its frame until it is acknowledged."""
    plane = Plane(tmp_path)
    plane.open()
    drives = [Drive(seed, rows=2) for seed in range(CROWD)]

    async def scene() -> None:
        supervisor = asyncio.create_task(plane.broker.supervise())
        async with plane.running():
            clients = [
                await nats.connect(plane.broker.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
                for _ in range(CONNECTIONS)
            ]
            devices = [FakeDevice(clients[n % CONNECTIONS], f"van-{n}") for n in range(CROWD)]
            for device in devices:
                await device.listen()
            for seq in (1, 2):
                assert plane.broker._child is not None
                plane.broker._child.kill()
                async with asyncio.timeout(30):
                    while plane.broker.restarts < seq or not all(client.is_connected for client in clients):
                        await asyncio.sleep(0.02)
                    while not await _has_stream(clients[0]):
                        await asyncio.sleep(0.05)
                for device in devices:
                    device.answers.clear()
                before = plane.ingest.counters.received
                for device, drive in zip(devices, drives, strict=True):
                    await device.send(drive.frame(seq))
                    await device.hello(StreamState(drive.stream_id, True, seq, held=((1, seq),)))
                async with asyncio.timeout(60):
                    while not all(device.answers for device in devices):
                        await asyncio.sleep(0.05)
                counters = plane.ingest.counters
                most = 2 * 2 * CROWD  # the stream gives again what it had given before ingest found it anew
                assert 2 * CROWD <= counters.received - before <= most, "nobody had to ask twice"
                assert counters.commits <= 10 * seq
                for device, drive in zip(devices, drives, strict=True):
                    assert {a.streams[0].stored for a in device.answers} == {((1, seq),)}
                    assert seq in device.acked[drive.stream_id], "what is stored is acknowledged before the answer"
                if seq == 1:
                    rss = psutil.Process().memory_info().rss

            hub = LiveHub(plane.registry, plane.ingest.publish)
            renewing = asyncio.create_task(hub.run())  # the service's own way to the broker may not be back yet
            for vehicle_id in range(1, CROWD + 1):
                await hub.watch(vehicle_id)
            async with asyncio.timeout(60):
                while not all(device.commands for device in devices):
                    await asyncio.sleep(0.05)
            renewing.cancel()
            heard = [command for device in devices for command in device.commands]
            assert len(heard) == CROWD, "each its own, and once"
            assert len({command.number for command in heard if isinstance(command, Command)}) == CROWD
            assert psutil.Process().memory_info().rss - rss < MOST_BYTES
            for client in clients:
                await client.close()
        supervisor.cancel()

    asyncio.run(scene())
    report = plane.store.read_sync(verify)
    plane.close()
    assert report.problems == []
    assert (report.frames, report.doubled) == (2 * CROWD, 0)


async def _has_stream(client: Client) -> bool:
    try:
        await client.jetstream().consumer_info("FRAMES", "ingest")
    except Error:
        return False
    return True


def poison(frame: bytes, rng: random.Random) -> bytes:
    """What a broken device may publish."""
    return rng.choice(
        [
            b"",
            MAGIC,
            rng.randbytes(rng.randrange(1, 400)),
            MAGIC + rng.randbytes(HEADER_BYTES + 60),
            frame[: rng.randrange(2, len(frame))],
            frame[:-5] + bytes([frame[-5] ^ 0x55]) + frame[-4:],
            MAGIC + bytes(900_000),
        ]
    )


def test_a_flood_and_poison_hold_nobody_else_up_and_the_flood_arrives_in_the_end(tmp_path: Path) -> None:
    flood_frames, good_devices, good_frames, burst = 1_200, 5, 20, 200
    plane = Plane(
        tmp_path,
        ingest=IngestConfig(
            commit_window_s=0.05, ack_delay_s=0.0, limits=LimitsConfig(frames_per_s=150, frames_burst=burst)
        ),
    )
    plane.open()
    rng = random.Random(1)
    flood = Drive(1, rows=2)
    flooding = {seq: flood.frame(seq) for seq in range(1, flood_frames + 1)}
    drives = [Drive(seed, rows=2) for seed in range(10, 10 + good_devices)]

    async def scene() -> None:
        async with plane.running() as client:
            flooder = await FakeDevice(client, "flooder").listen()
            broken = FakeDevice(client, "broken")
            devices = [await FakeDevice(client, f"van-{n}").listen() for n in range(good_devices)]
            for seq, frame in flooding.items():
                await flooder.send(frame)
                if seq % 10 == 0:
                    await broken.send(poison(frame, rng))
            for device, drive in zip(devices, drives, strict=True):
                for frame in drive.frames(1, good_frames):
                    await device.send(frame)
                wanted = dict.fromkeys(range(1, good_frames + 1), b"")
                # Never sent again: what is acknowledged was taken from where it stood, behind flood and poison.
                await device.until_acked(drive.stream_id, wanted, resend_s=60, timeout_s=50)
            acked = flooder.acked[flood.stream_id].count()
            assert burst <= acked < flood_frames, "its first frames are taken, the others wait on the device"
            assert plane.ingest.counters.dropped["frame_rate"] >= flood_frames - acked
            await flooder.until_acked(flood.stream_id, flooding, timeout_s=60, resend_s=0.5)

    asyncio.run(scene())
    counters = plane.ingest.counters
    assert counters.received == counters.accounted()
    assert counters.quarantined > 0
    names = {name: plane.registry.device("demo", name) for name in ("flooder", "van-0")}
    told = {
        name: [a.kind for a in plane.store.read_sync(lambda c, d=device: alerts(c, 1, d.id))]  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        for name, device in names.items()
    }
    assert told == {"flooder": ["frame_rate"], "van-0": []}
    report = plane.store.read_sync(verify)
    plane.close()
    assert report.problems == []
    assert (report.frames, report.doubled) == (flood_frames + good_devices * good_frames, 0)
