"""Which frames go together, and when: on a link that costs nothing, and on one that does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
import tempfile
from typing import Any

import pytest

from edge.health import Counters
from edge.outbox.opening import outbox_path
from edge.outbox.room import Room
from edge.outbox.search import OFFSET_KEY
from edge.outbox.worker import OutboxWorker
from edge.uplink.policy import Policy, PolicyConfig
from edge.uplink.pull import Pulls
from edge.uplink.sender import Sender
from edge.uplink.traffic import Traffic
from edge.uplink.window import Window
from sync_protocol.bundle import is_bundle, unpack
from sync_protocol.header import is_frame, read_header
from sync_protocol.messages import Command
from sync_protocol.short import restore
from tests.support.edge_fakes import IDENTITY, FakeClock, frame_maker


class Wire:
    """A link that only notes what is published."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def publish(self, data: bytes) -> None:
        self.messages.append(data)

    def taken(self) -> list[list[int]]:
        """The numbers of the frames in each message since the last call."""
        taken = [unpack(data) if is_bundle(data) else [data] for data in self.messages]
        self.messages.clear()
        return [[read_header(frame).seq for frame in frames] for frames in taken]


class Scene:
    """A sender between an outbox and a wire."""

    def __init__(self, outbox: OutboxWorker, mode: str) -> None:
        self.clock = FakeClock()
        self.outbox = outbox
        self.wire = Wire()
        self.window = Window(64, 20_000, 600_000)
        self.counters = Counters()
        self.is_watched = False
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.pulls = Pulls(outbox, lambda kind, data: self.told.append((kind, data)))
        self.policy = Policy(PolicyConfig(mode=mode), Traffic(1))  # type: ignore[arg-type]  # one of its words
        self.sender = Sender(
            self.clock, outbox, self.policy, self.window, self.counters,
            boot=1, pulls=self.pulls, is_watched=lambda: self.is_watched,
        )  # fmt: skip

    async def commit(self, count: int, *, has_event: bool = False, size_bytes: int = 60, boot_ms: int = 1_000) -> None:
        for _ in range(count):
            maker = frame_maker(size_bytes, has_event=has_event, boot_ms=boot_ms)
            await self.outbox.append(maker, {f"{OFFSET_KEY}1": 0})

    async def fill(self, seconds_later: float = 0.0, *, is_pressing: bool = False) -> list[list[int]]:
        self.clock.pass_s(seconds_later)
        await self.sender.fill(self.wire, is_pressing=is_pressing)  # type: ignore[arg-type]  # it only publishes
        return self.wire.taken()


@asynccontextmanager
async def scene(mode: str) -> AsyncIterator[Scene]:
    with tempfile.TemporaryDirectory() as folder:
        path = outbox_path(Path(folder), "acme", "van-1")
        outbox = await OutboxWorker.open(path, IDENTITY, Room(size_bytes=64 * 4096, ballast_bytes=0))
        made = Scene(outbox, mode)
        yield made
        counted = sum(bytes_.up for bytes_ in made.policy.view().connection.values())
        assert counted == made.sender.bytes_up, "the shares of a bundle add up to it"
        await outbox.close()


def test_metered_frames_wait_for_each_other() -> None:
    async def run() -> None:
        async with scene("metered") as on:
            await on.commit(2)
            assert await on.fill() == [[1, 2]], "what waited for the connection goes at once"
            await on.commit(3)
            assert await on.fill(30) == []
            await on.commit(1)
            assert await on.fill(29) == []
            assert await on.fill(1) == [[3, 4, 5, 6]]
            await on.commit(1)
            assert await on.fill(59.6) == [[7]], "half a second too early is in time"

    asyncio.run(run())


def test_an_event_does_not_wait_and_takes_along_what_does() -> None:
    async def run() -> None:
        async with scene("metered") as on:
            await on.commit(1)
            await on.fill()
            await on.commit(2)
            assert await on.fill(10) == []
            await on.commit(1, has_event=True)
            assert await on.fill() == [[2, 3, 4]]
            await on.commit(1)
            assert await on.fill(10) == []

    asyncio.run(run())


def test_nothing_waits_while_watched_or_when_the_device_stops_or_a_connection_is_new() -> None:
    async def run() -> None:
        async with scene("metered") as on:
            await on.commit(1)
            assert await on.fill() == [[1]]
            await on.commit(1)
            assert await on.fill(1) == []
            assert await on.fill(is_pressing=True) == [[2]]
            await on.commit(1)
            on.sender.begin()
            assert await on.fill(1) == [[3]]
            on.is_watched = True
            await on.commit(1)
            assert await on.fill(1) == [[4]]

    asyncio.run(run())


def test_a_window_full_of_backlog_does_not_wait_for_a_minute() -> None:
    async def run() -> None:
        async with scene("metered") as on:
            await on.commit(70)
            (first,) = await on.fill()
            assert len(first) == 60
            on.window.done(on.outbox._outbox.active.stream_id, [(1, 70)])
            await on.outbox.call(lambda outbox: outbox.active.ack(min(first), 63))
            assert len(await on.fill(1)) == 1

    asyncio.run(run())


def test_on_a_free_link_events_and_the_newest_go_alone_and_a_backlog_together() -> None:
    async def run() -> None:
        async with scene("normal") as on:
            await on.commit(3)
            await on.commit(1, has_event=True)
            await on.commit(2)
            assert await on.fill() == [[4], [6], [1, 2, 3, 5]]
            await on.commit(1)
            assert await on.fill(1) == [[7]]

    asyncio.run(run())


@pytest.mark.parametrize(("mode", "alone"), [("metered", []), ("normal", ["event", "live"])])
def test_every_kind_costs_what_its_frames_do_of_the_message_they_are_in(mode: str, alone: list[str]) -> None:
    """Sizes are far apart, so that the bytes of a frame under a neighbour's kind show."""

    async def run() -> None:
        async with scene(mode) as on:
            await on.commit(1, size_bytes=900, boot_ms=100_000)
            await on.commit(2, size_bytes=60, boot_ms=500_000)
            await on.commit(1, size_bytes=2_000, boot_ms=500_000, has_event=True)
            await on.commit(1, size_bytes=300, boot_ms=990_000, has_event=True)
            await on.commit(1, size_bytes=150, boot_ms=990_000)
            on.pulls.command(Command(1, "pull", 2**60, {"from_utc_ms": 499_000, "to_utc_ms": 520_000}))
            await on.sender.fill(on.wire, is_pressing=False)  # type: ignore[arg-type]  # it only publishes
            kinds = dict(enumerate(["backlog", "pulled", "pulled", "pulled", "event", "live"], 1))
            cost = dict.fromkeys(kinds.values(), 0.0)
            for data in on.wire.messages:
                frames = unpack(data) if is_bundle(data) else [data]
                for frame in frames:
                    cost[kinds[read_header(frame).seq]] += len(data) * len(frame) / sum(map(len, frames))
            counted = {kind: bytes_.up for kind, bytes_ in on.policy.view().connection.items()}
            assert counted == pytest.approx(cost, abs=6), "rounded down for each frame"
            assert all(counted[kind] == cost[kind] for kind in alone)

    asyncio.run(run())


def test_a_backlog_leaves_places_in_the_window_for_what_is_new() -> None:
    async def run() -> None:
        async with scene("normal") as on:
            await on.commit(80)
            sent = [seq for parcel in await on.fill() for seq in parcel]
            assert (len(sent), sent[0]) == (60, 80)
            assert await on.fill(1) == [], "the next of the backlog waits until some of it is acknowledged"
            await on.commit(1, boot_ms=on.clock.now_ms)
            assert await on.fill(1) == [[81]]
            await on.commit(1, has_event=True)
            assert await on.fill(1) == [[82]]

    asyncio.run(run())


def test_a_backlog_goes_a_message_at_a_time_and_the_newest_before_each() -> None:
    async def run() -> None:
        async with scene("normal") as on:
            on.window = on.sender._window = Window(1024, 20_000, 600_000)
            await on.commit(300)
            assert [len(parcel) for parcel in await on.fill()] == [1, 127]
            await on.commit(1, boot_ms=on.clock.now_ms)
            first, rest = await on.fill()
            assert (first, rest[0], len(rest)) == ([301], 128, 127)

    asyncio.run(run())


def test_a_frame_goes_short_once_the_cloud_reads_that_and_whole_when_it_did_not_arrive() -> None:
    async def run() -> None:
        async with scene("normal") as on:
            await on.commit(1, boot_ms=990_000)
            await on.sender.fill(on.wire, is_pressing=False)  # type: ignore[arg-type]  # it only publishes
            (whole,) = on.wire.messages
            assert is_frame(whole)
            on.sender.shorten([on.outbox._outbox.active.stream_id])
            await on.commit(1, boot_ms=990_000)
            await on.sender.fill(on.wire, is_pressing=False)  # type: ignore[arg-type]  # it only publishes
            short = on.wire.messages[-1]
            stream_id, seq = on.outbox._outbox.active.stream_id, 2
            assert (
                restore(short, [bytes(16), stream_id]) == on.outbox._outbox._queued(on.outbox._outbox.active, seq).body
            )
            on.window.expire(on.clock.now_ms + 10**9)
            on.wire.messages.clear()
            assert await on.fill() == [[2], [1]], "whole"
            on.sender.begin()
            await on.commit(1, boot_ms=990_000)
            assert await on.fill() == [[3]], "another connection, another cloud"

    asyncio.run(run())


def test_after_the_third_try_a_frame_goes_alone() -> None:
    async def run() -> None:
        async with scene("metered") as on:
            await on.commit(3)
            for _ in range(3):
                assert await on.fill(700) == [[1, 2, 3]]
                on.window.expire(on.clock.now_ms + 10**9)
            assert sorted(await on.fill(700)) == [[1], [2], [3]]
            assert (on.sender.frames, on.sender.again, on.counters.received) == (12, 9, 3)

    asyncio.run(run())
