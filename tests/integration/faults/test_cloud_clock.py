"""The cloud's own clock steps while it works, its broker's too: nobody is shut out, and no sample gets a wrong time."""

import asyncio
from pathlib import Path
import time

import nats

from cloud.config import IngestConfig, LimitsConfig, NatsConfig
from cloud.ingest.service import Ingest
from cloud.live.hub import LiveHub
from cloud.telemetry.ledger_view import alerts, device_ledger
from cloud.telemetry.verify import verify
from sync_protocol.messages import Command, StreamState
from tests.support.broker_process import BrokerProcess
from tests.support.fleet import FakeDevice, Plane
from tests.support.frames import EPOCH_MS, Drive
from tests.support.stepped_broker import SteppedBroker

DAY_US = 86_400_000_000
STEPS_US = (0, 3_650 * DAY_US, -3_650 * DAY_US, DAY_US, -DAY_US, 0)
FRAMES_A_STEP = 60


def test_a_clock_that_steps_shuts_nobody_out_and_moves_no_sample(tmp_path: Path) -> None:
    """Each step brings more frames than the limit's burst, so that tokens must come back under every clock."""
    limits = LimitsConfig(frames_per_s=100, frames_burst=50, new_streams_a_day=len(STEPS_US))
    drives = [Drive(seed, rows=2) for seed in range(len(STEPS_US))]

    async def scene(plane: Plane, broker: SteppedBroker, device_url: str) -> None:
        def now_us() -> int:
            return time.time_ns() // 1000 + broker.shift_us

        plane.open()
        plane.ingest = Ingest(plane.config, plane.broker, plane.registry, plane.writer, clock_us=now_us)
        hub = LiveHub(plane.registry, plane.ingest.publish, now_ms=lambda: now_us() // 1000)
        client = await nats.connect(device_url)
        async with plane.running():
            device = await FakeDevice(client, "van-1").listen()
            for broker.shift_us, drive in zip(STEPS_US, drives, strict=True):
                frames = {seq: drive.frame(seq) for seq in range(1, FRAMES_A_STEP + 1)}
                for frame in frames.values():
                    await device.send(frame)
                await device.until_acked(drive.stream_id, frames, timeout_s=40, resend_s=0.3)
                answers = len(device.answers)
                await device.hello(StreamState(drive.stream_id, True, FRAMES_A_STEP))
                await device.until(lambda n=answers: len(device.answers) > n)
                assert abs(device.answers[-1].utc_ms * 1000 - now_us()) < DAY_US // 2, "the clock of this step"
                await hub.watch(1)
                hub._leases.clear()  # a browser that comes anew
            await device.until(lambda: len(device.commands) == len(STEPS_US))
            numbers = [command.number for command in device.commands if isinstance(command, Command)]
            assert numbers == sorted(set(numbers)), "strictly rising, whatever the clock says"
        await client.close()

    async def run() -> None:
        async with BrokerProcess(tmp_path / "nats") as real, SteppedBroker(real.port) as broker:
            config = IngestConfig(commit_window_s=0.05, ack_delay_s=0.0, limits=limits)
            plane = Plane(tmp_path, ingest=config, nats_config=NatsConfig(url=broker.url, stream_bytes=64 * 1024**2))
            await scene(plane, broker, real.url)
            check(plane)
            plane.close()

    asyncio.run(run())


def check(plane: Plane) -> None:
    report = plane.store.read_sync(verify)
    assert report.problems == []
    assert (report.frames, report.doubled) == (len(STEPS_US) * FRAMES_A_STEP, 0)
    span = plane.store.read_sync(
        lambda c: c.execute("SELECT epoch_ms(min(ts)), epoch_ms(max(ts)), count(*) FROM tel").fetchone()
    )
    first_ms = Drive(0, rows=2).first_ms(1) + EPOCH_MS
    assert span == (first_ms, first_ms + (2 * FRAMES_A_STEP - 1) * 1000, len(STEPS_US) * FRAMES_A_STEP * 2)
    assert [a.kind for a in plane.store.read_sync(lambda c: alerts(c, 1, 1))] == ["frame_rate"], "and no other limit"
    newest = plane.store.read_sync(lambda c: device_ledger(c, 1, 1))[0]
    assert abs(newest.last_seen_us - time.time_ns() // 1000) < DAY_US // 2
