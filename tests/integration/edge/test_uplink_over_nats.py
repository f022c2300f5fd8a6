"""Outbox and uplink over a real nats-server, through everything a mobile link does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from edge.clock import SystemClock
from edge.outbox.opening import outbox_path
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from edge.sampling.config import SamplingConfig
from edge.sampling.sampler import Sampler
from edge.uplink.config import UplinkConfig
from edge.uplink.link import Link, NatsLink
from edge.uplink.policy import PolicyConfig
from edge.uplink.uplink import Uplink
from sync_protocol import subjects
from sync_protocol.errors import Denied, Unavailable
from sync_protocol.messages import Command
from tests.support.chaos_proxy import ChaosProxy
from tests.support.cloud_double import CloudDouble, NatsCloud
from tests.support.edge_fakes import IDENTITY, frame_maker
from tests.support.nats_peer import NatsPeer, free_port
from tests.support.waiting import until

UP, DOWN = subjects.up("acme", "van-1"), subjects.down("acme", "van-1")
IMPATIENT = {"retry_s": 0.05, "retry_max_s": 0.2, "ack_timeout_s": 1.0, "hello_after_s": 2.0, "hello_wait_s": 1.0}


class Device:
    """Outbox, sampler and uplink of one device in this process."""

    def __init__(self, outbox: OutboxWorker, uplink: Uplink, sampler: Sampler) -> None:
        self.outbox, self.uplink, self.sampler = outbox, uplink, sampler

    async def commit(self, count: int) -> None:
        for _ in range(count):
            await self.outbox.append(frame_maker(200), {})
            self.uplink.notify()

    async def has_everything_acknowledged(self) -> bool:
        return (await self.outbox.totals()).pending == 0


@asynccontextmanager
async def device(folder: Path, port: int, policy: PolicyConfig = PolicyConfig()) -> AsyncIterator[Device]:  # noqa: B008  # frozen
    clock = SystemClock()
    config = UplinkConfig(url=f"nats://127.0.0.1:{port}", policy=policy, **IMPATIENT)
    room = Room(size_bytes=1 << 21, ballast_bytes=0)
    outbox = await OutboxWorker.open(outbox_path(folder, "acme", "van-1"), IDENTITY, room)
    sampler = Sampler(SamplingConfig(), clock, lambda _: None)

    async def connect() -> Link:
        return await NatsLink.connect(config, UP, DOWN, "van-1")

    uplink = Uplink(config, clock, outbox, sampler, connect, version="1", boot=1)
    task = asyncio.create_task(uplink.run())
    try:
        yield Device(outbox, uplink, sampler)
        assert not task.done(), task
        assert uplink.health().is_balanced
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await outbox.close()


def assert_all_there(cloud: CloudDouble, count: int) -> None:
    assert sorted(seq for _, seq in cloud.frames) == list(range(1, count + 1))
    assert cloud.pending() == 0
    assert not cloud.forked


def test_a_backlog_and_new_frames_arrive_once_each(tmp_path: Path) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker:
            async with NatsCloud(broker.url, "acme", "van-1") as cloud, device(tmp_path, broker.port) as van:
                await van.commit(300)
                await until(van.has_everything_acknowledged, 30, "acknowledgements")
                assert_all_there(cloud.double, 300)
                assert cloud.double.duplicates == 0
                await cloud.command(Command(1, "watch", 2**62, {"lease_s": 30}))
                await until(van.sampler.is_watched, 5, "the command")
                assert van.sampler.anchors.best is not None
                assert van.sampler.anchors.best.source == "cloud"

    asyncio.run(scene())


@pytest.mark.parametrize(
    "policy", [PolicyConfig(), PolicyConfig(mode="metered", bundle_s=0.8)], ids=["plain", "bundles"]
)
def test_a_broker_killed_and_started_again_loses_nothing(tmp_path: Path, policy: PolicyConfig) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker:
            async with NatsCloud(broker.url, "acme", "van-1") as cloud, device(tmp_path, broker.port, policy) as van:
                for round_number in range(1, 4):
                    await van.commit(40)
                    await until(lambda n=round_number: len(cloud.double.frames) > n * 5, 20, "first frames")
                    broker.kill()
                    await van.commit(20)
                    await until(lambda: van.uplink.state().link == "connecting", 10, "loss noticed")
                    broker.start()
                await until(van.has_everything_acknowledged, 60, "acknowledgements")
                assert_all_there(cloud.double, 180)
                if policy.mode == "metered":
                    assert 3 <= cloud.double.bundles < 60

    asyncio.run(scene())


def test_cut_links_duplicates_and_reordering_lose_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker:
            async with (
                NatsCloud(broker.url, "acme", "van-1") as cloud,
                ChaosProxy(lambda: broker.port, seed=7) as proxy,
                device(tmp_path, proxy.port) as van,
            ):
                proxy.duplicate, proxy.reorder = 0.3, 0.3
                for _ in range(12):
                    await van.commit(15)
                    proxy.cut()
                proxy.duplicate = proxy.reorder = 0.0
                proxy.cut()
                await until(van.has_everything_acknowledged, 60, "acknowledgements")
                assert_all_there(cloud.double, 180)

    asyncio.run(scene())


def test_a_half_open_link_is_noticed_and_replaced(tmp_path: Path) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker:
            async with (
                NatsCloud(broker.url, "acme", "van-1") as cloud,
                ChaosProxy(lambda: broker.port) as proxy,
                device(tmp_path, proxy.port) as van,
            ):
                await van.commit(5)
                await until(van.has_everything_acknowledged, 20, "acknowledgements")
                proxy.is_swallowing = True
                await van.commit(5)
                await until(lambda: van.uplink.state().link == "connecting", 30, "loss noticed")
                proxy.is_swallowing = False
                await until(van.has_everything_acknowledged, 30, "acknowledgements")
                assert_all_there(cloud.double, 10)

    asyncio.run(scene())


def test_no_broker_at_all_is_waited_for(tmp_path: Path) -> None:
    async def scene() -> None:
        port = free_port()
        async with device(tmp_path, port) as van:
            await van.commit(5)
            await until(lambda: str(port) in van.uplink.state().detail, 10, "what is wrong")
            with NatsPeer(tmp_path / "nats", port=port) as broker:
                async with NatsCloud(broker.url, "acme", "van-1") as cloud:
                    await until(van.has_everything_acknowledged, 30, "acknowledgements")
                    assert_all_there(cloud.double, 5)

    asyncio.run(scene())


def test_frames_published_while_nothing_stores_them_are_sent_again(tmp_path: Path) -> None:
    """Without a stream a plain publish vanishes silently: only the application's acknowledgement counts."""

    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker:
            async with device(tmp_path, broker.port) as van:
                await van.commit(5)
                await until(lambda: van.uplink.state().frames_sent >= 5, 20, "frames sent into nothing")
                async with NatsCloud(broker.url, "acme", "van-1") as cloud:
                    await until(van.has_everything_acknowledged, 30, "acknowledgements")
                    assert_all_there(cloud.double, 5)

    asyncio.run(scene())


def test_wrong_credentials_are_told_apart_from_a_missing_broker(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    extra = 'authorization { users = [ { user: "van", password: "right" } ] }'

    async def scene() -> None:
        with NatsPeer(tmp_path / "nats", extra=extra) as broker:
            config = UplinkConfig(url=broker.url, user="van", password_file=str(secret))
            with pytest.raises(Denied):
                await NatsLink.connect(config, UP, DOWN, "van-1")
            secret.write_text("right\n")
            link = await NatsLink.connect(config, UP, DOWN, "van-1")
            await link.check(2)
            await link.close()
            with pytest.raises(Unavailable):
                await link.publish(b"late")
            with pytest.raises(Unavailable):
                await link.check(1)
            with pytest.raises(Unavailable):
                await link.receive()

    asyncio.run(scene())
