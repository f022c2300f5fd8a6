"""The uplink between a real outbox and a double of the cloud: what is sent, when, and what comes down."""

import asyncio
from pathlib import Path
import tempfile

import pytest

from edge.outbox.opening import outbox_path
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from edge.uplink.config import UplinkConfig
from sync_protocol.errors import Denied
from sync_protocol.messages import Ack, Command, encode_down
from tests.support.edge_fakes import IDENTITY
from tests.support.uplink_bench import FAST, Bench, running
from tests.support.waiting import until


def test_every_frame_is_acknowledged_and_the_hello_says_who_speaks() -> None:
    async def scene() -> None:
        async with running() as bench:
            await bench.commit(30)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            hello = bench.cloud.hellos[0]
            assert (hello.agent_version, hello.boot, hello.vin, hello.utc_ms) == ("1.2.3", 4, "VIN", None)
            assert bench.cloud.duplicates == 0
            state = bench.uplink.state()
            assert (state.link, state.in_flight, state.frames_sent, state.frames_sent_again) == ("connected", 0, 30, 0)
            assert bench.vehicle.told[0][2] >= 1
            health = bench.uplink.health()
            assert (health.received, health.sent, health.queued) == (30, 30, 0)

    asyncio.run(scene())


def test_events_then_the_newest_then_the_backlog_oldest_first() -> None:
    async def before(bench: Bench) -> None:
        await bench.commit(3)
        await bench.commit(1, has_event=True)
        await bench.commit(2)

    async def scene() -> None:
        async with running(before=before) as bench:
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert [seq for _, seq in bench.cloud.order] == [4, 6, 1, 2, 3, 5]

    asyncio.run(scene())


def test_silence_of_the_cloud_is_back_pressure_and_then_frames_are_sent_again() -> None:
    async def scene() -> None:
        async with running() as bench:
            bench.cloud.acks = False
            await bench.commit(20)
            await bench.on_the_way(8)
            await bench.pass_s(10)
            assert bench.cloud.received == 8
            await bench.pass_s(11)
            await until(lambda: bench.uplink.state().frames_sent_again >= 6, 5, "sent again")
            bench.cloud.acks = True
            await bench.pass_s(60)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert bench.uplink.health().received == 20

    asyncio.run(scene())


def test_refused_credentials_are_said_and_tried_again_much_later() -> None:
    async def before(bench: Bench) -> None:
        bench.refusals += [Denied("revoked"), Denied("revoked")]

    async def scene() -> None:
        async with running(UplinkConfig(refused_retry_s=0.2), before=before) as bench:
            await until(lambda: bench.uplink.state().link == "refused", 5, "refusal")
            assert bench.uplink.state().detail == "revoked"
            await until(lambda: bench.uplink.state().link == "connected", 5, "connection")

    asyncio.run(scene())


def test_commands_are_obeyed_unless_expired_or_unknown_and_nonsense_is_counted() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.links), 5, "link")
            inbox = bench.links[0].inbox
            bench.vehicle.offset_ms = 1_700_000_000_000
            now_ms = bench.vehicle.offset_ms + bench.clock.now_ms
            inbox.put_nowait(encode_down(Command(1, "watch", now_ms + 1000, {"lease_s": 45})))
            inbox.put_nowait(encode_down(Command(2, "watch", now_ms + 1000, {"lease_s": "soon"})))
            inbox.put_nowait(encode_down(Command(3, "watch", now_ms + 1000, {"lease_s": 1e9})))
            inbox.put_nowait(encode_down(Command(4, "watch", now_ms - 1000, {"lease_s": 45})))
            inbox.put_nowait(encode_down(Command(5, "self_destruct", now_ms + 1000)))
            inbox.put_nowait(encode_down(Ack(b"?" * 16, ((1, 5, 0),))))
            inbox.put_nowait(b"nonsense")
            await until(lambda: bench.uplink.health().errors.get("rejected") == 1, 5, "the last message")
            assert bench.vehicle.leases == [45.0, 60.0, 300.0]
            errors = bench.uplink.health().errors
            assert errors == {
                "command_expired": 1, "command_unknown": 1, "rejected": 1, "ack_of_other_frames": 1,
            }  # fmt: skip

    asyncio.run(scene())


def test_a_bug_ends_the_uplink() -> None:
    async def scene(folder: Path) -> None:
        room = Room(size_bytes=64 * 4096, ballast_bytes=0)
        outbox = await OutboxWorker.open(outbox_path(folder, "acme", "van-1"), IDENTITY, room)
        bench = Bench(outbox, FAST)
        bench.vehicle.leases = None  # type: ignore[assignment]  # the bug
        run = asyncio.create_task(bench.uplink.run())
        await until(lambda: bool(bench.links), 5, "link")
        bench.links[0].inbox.put_nowait(encode_down(Command(1, "watch", 2**60)))
        with pytest.raises(AttributeError):
            await asyncio.wait_for(run, 5)
        await outbox.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scene(Path(folder)))


def test_a_slow_link_is_not_filled_so_that_the_newest_frame_finds_it_short() -> None:
    async def scene() -> None:
        async with running() as bench:
            await bench.commit(1)
            await until(bench.all_acknowledged, 5, "the first frame")
            (link,) = bench.links
            link.unsent = 40_000
            await bench.commit(3)
            bench.uplink.ask()
            looks = link.looks
            await until(lambda: link.looks >= looks + 3, 5, "looks at what is unsent")
            assert (bench.uplink.state().frames_sent, await bench.pending()) == (1, 3)
            link.unsent = 32_000
            await until(bench.all_acknowledged, 5, "the others, once what lay before them has left")

    asyncio.run(scene())
