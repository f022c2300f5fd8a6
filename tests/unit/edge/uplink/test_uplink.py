"""The uplink between a real outbox and a double of the cloud, over a link in memory and a clock that is set by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
import tempfile
from typing import Any

import pytest

from edge.outbox.opening import outbox_path
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from edge.uplink.config import UplinkConfig
from edge.uplink.link import Link
from edge.uplink.pull import Pulls
from edge.uplink.source import Change
from edge.uplink.uplink import Uplink
from sync_protocol.errors import Denied, Unavailable
from sync_protocol.messages import Ack, AnchorSource, Command, encode_down
from tests.support.cloud_double import CloudDouble
from tests.support.edge_fakes import IDENTITY, FakeClock, frame_maker
from tests.support.waiting import until


class MemoryLink:
    """A link to the double without a broker. `loses`: what is published vanishes; `is_dead`: no sign of life."""

    def __init__(self, cloud: CloudDouble) -> None:
        self._cloud = cloud
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.loses = False
        self.is_dead = False
        self.is_closed = False
        self.unsent = self.looks = self.checks = 0

    async def publish(self, data: bytes) -> None:
        if self.is_closed:
            raise Unavailable("closed")
        if not self.loses:
            for reply in self._cloud.receive(data):
                self.inbox.put_nowait(reply)

    async def receive(self) -> bytes:
        data = await self.inbox.get()
        if data is None:
            raise Unavailable("cut")
        return data

    async def check(self, timeout_s: float) -> None:
        self.checks += 1
        if self.is_dead:
            raise Unavailable("no sign of life")

    async def close(self) -> None:
        self.is_closed = True

    def unsent_bytes(self) -> int:
        self.looks += 1
        return self.unsent

    def channel(self) -> None:
        return None

    def cut(self) -> None:
        self.is_closed = True
        self.inbox.put_nowait(None)


class FakeVehicle:
    """Knows what time it is once told, and how long it is watched."""

    def __init__(self) -> None:
        self.offset_ms: int | None = None
        self.told: list[tuple[int, int, int]] = []
        self.leases: list[float] = []

    def utc(self, boot_ms: int) -> tuple[int | None, AnchorSource | None]:
        return (None, None) if self.offset_ms is None else (boot_ms + self.offset_ms, "gps")

    def cloud_time(self, boot_ms: int, utc_ms: int, uncertainty_ms: int) -> None:
        self.told.append((boot_ms, utc_ms, uncertainty_ms))

    def watch(self, lease_s: float) -> None:
        self.leases.append(lease_s)


class Bench:
    """Everything around one uplink."""

    def __init__(self, outbox: OutboxWorker, config: UplinkConfig) -> None:
        self.clock = FakeClock()
        self.cloud = CloudDouble()
        self.vehicle = FakeVehicle()
        self.outbox = outbox
        self.links: list[MemoryLink] = []
        self.changes: list[Change] = []
        self.refusals: list[Exception] = []
        self.next_loses = False
        self.times: list[int] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        pulls = Pulls(outbox, lambda kind, data: self.told.append((kind, data)))
        self.uplink = Uplink(
            config, self.clock, outbox, self.vehicle, self._connect, pulls=pulls,
            version="1.2.3", boot=4, vin=lambda: "VIN", on_change=self.changes.append,
        )  # fmt: skip

    async def _connect(self) -> Link:
        if self.refusals:
            raise self.refusals.pop(0)
        link = MemoryLink(self.cloud)
        link.loses = self.next_loses
        self.links.append(link)
        return link

    async def commit(self, count: int, *, has_event: bool = False) -> None:
        for _ in range(count):
            await self.outbox.append(frame_maker(60, has_event=has_event), {})
        self.uplink.notify()

    async def pending(self) -> int:
        return (await self.outbox.totals()).pending

    async def all_acknowledged(self) -> bool:
        self.uplink.notify()
        return await self.pending() == 0

    async def on_the_way(self, count: int) -> None:
        await until(lambda: self.uplink.state().in_flight == count, 5, f"{count} frames on the way")

    async def pass_s(self, seconds: float) -> None:
        self.clock.pass_s(seconds)
        self.uplink.notify()
        await asyncio.sleep(0)


FAST = UplinkConfig(
    retry_s=0.01, retry_max_s=0.02, refused_retry_s=0.01, hello_wait_s=0.2, window_frames=8, ack_timeout_s=20
)


@asynccontextmanager
async def running(
    config: UplinkConfig = FAST, before: Callable[[Bench], Awaitable[None]] | None = None
) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        path = outbox_path(Path(folder), "acme", "van-1")
        outbox = await OutboxWorker.open(path, IDENTITY, Room(size_bytes=64 * 4096, ballast_bytes=0))
        bench = Bench(outbox, config)
        if before is not None:
            await before(bench)
        task = asyncio.create_task(bench.uplink.run())
        try:
            yield bench
            assert not task.done(), task
            assert bench.uplink.health().is_balanced
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await outbox.close()


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


def test_a_lost_link_is_replaced_and_every_connection_begins_with_a_hello() -> None:
    async def scene() -> None:
        async with running() as bench:
            await bench.commit(2)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            for number in range(1, 6):
                bench.refusals.append(Unavailable("nobody there"))
                bench.links[-1].cut()
                await until(lambda n=number: len(bench.cloud.hellos) == n + 1, 5, "the next hello")
            await bench.commit(2)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert len(bench.links) == len(bench.cloud.hellos) == 6
            assert all(link.is_closed for link in bench.links[:-1])

    asyncio.run(scene())


def test_frames_that_vanished_with_a_link_are_sent_again_after_the_hello_of_the_next() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.links[0].loses = True
            await bench.commit(5)
            await bench.on_the_way(5)
            bench.links[0].cut()
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert bench.cloud.duplicates == 0
            assert bench.uplink.state().frames_sent_again == 5

    asyncio.run(scene())


def test_lost_acknowledgements_are_made_up_for_by_the_answer_to_a_hello() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.cloud.acks = False
            await bench.commit(5)
            await bench.on_the_way(5)
            bench.links[0].cut()
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert bench.cloud.received == 5, "nothing was sent twice"

    asyncio.run(scene())


def test_the_cloud_is_asked_when_acknowledgements_stay_away() -> None:
    config = UplinkConfig(retry_s=0.01, ack_timeout_s=500, hello_wait_s=0.1)

    async def scene() -> None:
        async with running(config) as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.cloud.acks = False
            await bench.commit(1)
            await bench.on_the_way(1)
            await bench.pass_s(74)
            assert len(bench.cloud.hellos) == 1
            await bench.pass_s(2)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert len(bench.cloud.hellos) == 2

    asyncio.run(scene())


def test_an_absent_cloud_is_not_asked_more_often() -> None:
    config = UplinkConfig(retry_s=0.01, ack_timeout_s=500, hello_wait_s=0.1, window_frames=64)

    async def scene() -> None:
        async with running(config) as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.cloud.acks = bench.cloud.answers = False
            await bench.commit(20)
            await bench.on_the_way(20)
            await bench.pass_s(76)
            await until(lambda: len(bench.cloud.hellos) == 2, 5, "the second hello")
            await bench.pass_s(70)
            await bench.commit(1)
            await bench.on_the_way(21)
            assert len(bench.cloud.hellos) == 2
            await bench.pass_s(6)
            await until(lambda: len(bench.cloud.hellos) == 3, 5, "the third hello")

    asyncio.run(scene())


def test_who_stops_asks_once_what_has_arrived() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.cloud.acks = False
            await bench.commit(3)
            bench.uplink.ask()
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert len(bench.cloud.hellos) == 2
            assert bench.cloud.received == 3

    asyncio.run(scene())


def test_a_half_open_link_is_found_out_and_replaced() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.links[0].loses = bench.links[0].is_dead = True
            await bench.commit(1)
            await bench.on_the_way(1)
            await bench.pass_s(21)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert len(bench.links) == 2

    asyncio.run(scene())


def test_only_a_quiet_link_is_asked_for_a_sign_of_life() -> None:
    async def scene() -> None:
        async with running() as bench:
            for _ in range(5):
                await bench.commit(1)
                await until(bench.all_acknowledged, 5, "acknowledgements")
                await bench.pass_s(100)
            (link,) = bench.links
            assert link.checks == 0, "what is sent is sign enough"
            await bench.pass_s(21)
            await until(lambda: link.checks == 1, 5, "a question")
            link.is_dead = True
            await bench.pass_s(121)
            await until(lambda: len(bench.links) == 2, 5, "another link")

    asyncio.run(scene())


def test_frames_flow_even_when_nobody_answers_the_hello() -> None:
    async def before(bench: Bench) -> None:
        bench.cloud.answers = False
        await bench.commit(2)

    async def scene() -> None:
        async with running(before=before) as bench:
            await until(bench.all_acknowledged, 5, "acknowledgements")

    asyncio.run(scene())


def test_a_restored_cloud_gets_what_it_lacks() -> None:
    async def scene() -> None:
        async with running() as bench:
            await bench.commit(9)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            bench.cloud.restore(lambda key: key[1] <= 4)
            bench.links[-1].cut()
            await until(lambda: bool(bench.changes), 5, "the answer")
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert sorted(seq for _, seq in bench.cloud.frames) == list(range(1, 10))
            assert [change.again for change in bench.changes] == [5]

    asyncio.run(scene())


def test_another_copy_of_this_outbox_is_noticed_and_nothing_is_taken_for_stored() -> None:
    """The cloud has numbers 1 to 9 from a clone of this card; ours under these numbers are other frames."""
    clone: dict[tuple[bytes, int], bytes] = {}

    async def before(bench: Bench) -> None:
        await bench.commit(6)
        stream_id = (await bench.outbox.hello_streams())[0].stream_id
        for seq in range(1, 10):
            bench.cloud.receive(frame_maker(80)(stream_id, seq, 1))
        clone.update(bench.cloud.frames)
        bench.cloud.received = 0

    async def scene() -> None:
        async with running(before=before) as bench:
            await until(bench.all_acknowledged, 5, "the verdict on every frame")
            totals = await bench.outbox.totals()
            assert (totals.forked, totals.acked) == (6, 6), "what they hold has gone again, in a new stream"
            assert all(bench.cloud.frames[key] == body for key, body in clone.items())
            streams = await bench.outbox.hello_streams()
            assert len(streams) >= 2
            await bench.commit(2)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            assert (await bench.outbox.totals()).acked == 8
            assert bench.uplink.health().dropped == {"forked": 6}

    asyncio.run(scene())


def test_an_evicted_frame_is_no_longer_waited_for() -> None:
    async def scene() -> None:
        async with running() as bench:
            await until(lambda: bool(bench.vehicle.told), 5, "the first answer")
            bench.links[0].loses = True
            await bench.commit(3)
            await bench.on_the_way(3)
            for _ in range(60):
                await bench.outbox.append(frame_maker(9000, has_event=True), {})
            bench.links[0].cut()
            await until(bench.all_acknowledged, 10, "acknowledgements")
            assert bench.uplink.health().dropped.get("evicted", 0) >= 3

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
        bench.vehicle.leases = None  # type: ignore[assignment]
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
