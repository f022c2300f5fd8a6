"""Links that go silent without a word, and a device that connects and is configured a thousand times."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
import time

import psutil
import pytest

from edge.clock import SystemClock
from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from edge.sampling.config import SamplingConfig
from edge.sampling.sampler import Sampler
from edge.uplink.config import UplinkConfig
from edge.uplink.link import Link, NatsLink
from edge.uplink.uplink import Uplink
from sync_protocol import subjects
from tests.support.chaos_proxy import ChaosProxy
from tests.support.cloud_double import NatsCloud
from tests.support.edge_fakes import IDENTITY, frame_maker
from tests.support.nats_peer import NatsPeer
from tests.support.waiting import until

UP, DOWN = subjects.up("acme", "van-1"), subjects.down("acme", "van-1")
ROOM = Room(size_bytes=1 << 20, ballast_bytes=0)
ACK_TIMEOUT_S, CHECK_S = 1.0, 5.0


def uplink_of(outbox: OutboxWorker, port: int) -> Uplink:
    """A device's uplink that is in a hurry."""
    config = UplinkConfig(
        url=f"nats://127.0.0.1:{port}", retry_s=0.002, retry_max_s=0.01, ack_timeout_s=ACK_TIMEOUT_S,
        hello_after_s=2.0, hello_wait_s=1.0,
    )  # fmt: skip
    clock = SystemClock()

    async def connect() -> Link:
        return await NatsLink.connect(config, UP, DOWN, "van-1")

    sampler = Sampler(SamplingConfig(), clock, lambda _: None)
    return Uplink(config, clock, outbox, sampler, connect, version="1", boot=1)


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel and wait."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.slow
@pytest.mark.parametrize("silence_s", [2.0, 10.0])
def test_packets_that_vanish_for_a_while_delay_frames_and_cost_none(tmp_path: Path, silence_s: float) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker:
            outbox = await OutboxWorker.open(outbox_path(tmp_path, "acme", "van-1"), IDENTITY, ROOM)
            async with NatsCloud(broker.url, "acme", "van-1") as cloud, ChaosProxy(lambda: broker.port) as proxy:
                uplink = uplink_of(outbox, proxy.port)
                task = asyncio.create_task(uplink.run())
                count = 0

                async def commit() -> None:
                    nonlocal count
                    await outbox.append(frame_maker(200), {})
                    count += 1
                    uplink.notify()

                async def all_acknowledged() -> bool:
                    return (await outbox.totals()).pending == 0

                await commit()
                await until(all_acknowledged, 20, "the first frame")
                proxy.is_swallowing = True
                began, noticed_s = time.monotonic(), None
                while (silent_s := time.monotonic() - began) < silence_s:
                    await commit()
                    await asyncio.sleep(0.1)
                    if noticed_s is None and uplink.state().link != "connected":
                        noticed_s = silent_s
                proxy.is_swallowing = False
                await until(all_acknowledged, 20, "everything, after the silence")
                if silence_s > ACK_TIMEOUT_S + CHECK_S + 2:
                    assert noticed_s is not None
                    assert noticed_s < ACK_TIMEOUT_S + CHECK_S + 2
                assert sorted(seq for _, seq in cloud.double.frames) == list(range(1, count + 1))
                await end(task)
            await outbox.close()

    asyncio.run(scene())


@contextmanager
def nothing_grows() -> Iterator[None]:
    """Neither open files nor, by more than some megabytes, memory."""
    process = psutil.Process()
    files, rss = process.num_fds(), process.memory_info().rss
    yield
    assert process.num_fds() <= files
    assert process.memory_info().rss - rss < 24 << 20


@pytest.mark.slow
def test_a_thousand_reconnects_leave_everything_as_it_was(tmp_path: Path) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker:
            outbox = await OutboxWorker.open(outbox_path(tmp_path, "acme", "van-1"), IDENTITY, ROOM)
            async with NatsCloud(broker.url, "acme", "van-1") as cloud, ChaosProxy(lambda: broker.port) as proxy:
                uplink = uplink_of(outbox, proxy.port)
                task = asyncio.create_task(uplink.run())

                async def reconnect() -> None:
                    hellos = len(cloud.double.hellos)
                    proxy.cut()
                    await until(lambda: len(cloud.double.hellos) > hellos, 20, "the next hello")

                for _ in range(20):
                    await outbox.append(frame_maker(200), {})
                    await reconnect()
                tasks = len(asyncio.all_tasks())
                with nothing_grows():
                    for _ in range(980):
                        await reconnect()
                    await until(lambda: len(asyncio.all_tasks()) <= tasks + 1, 10, "tasks end")
                totals = await outbox.totals()
                assert (totals.committed, totals.pending, totals.lost) == (20, 0, 0)
                assert sorted(seq for _, seq in cloud.double.frames) == list(range(1, 21))
                await end(task)
            await outbox.close()

    asyncio.run(scene())


def test_three_hundred_configuration_pushes_leave_every_row_as_it_was(tmp_path: Path) -> None:
    """A new configuration is a restart: the outbox is closed, and opened with other settings."""
    path = outbox_path(tmp_path, "acme", "van-1")
    outbox = Outbox(path, IDENTITY, ROOM)
    for _ in range(30):
        outbox.append(frame_maker(200))
    before = [(frame.seq, frame.body) for frame in outbox.pick(99)]
    outbox.close()
    with nothing_grows():
        for number in range(300):
            room = Room(size_bytes=(1 << 20) + number % 3 * 4096, ballast_bytes=number % 2 * 8192)
            outbox = Outbox(path, IDENTITY, room)
            assert outbox.new_stream is None
            outbox.close("updating")
    outbox = Outbox(path, IDENTITY, ROOM)
    assert [(frame.seq, frame.body) for frame in outbox.pick(99)] == before
    assert outbox.totals().committed == 30
    assert len(list(tmp_path.iterdir())) <= 5
    outbox.close()
