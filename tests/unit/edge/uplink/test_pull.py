"""A range of time is sent out of turn: from what is acknowledged, and from what the budget holds back."""

import asyncio
from typing import Any, NamedTuple

import pytest

from edge.outbox.search import OFFSET_KEY
from edge.uplink.config import UplinkConfig
from edge.uplink.policy import PolicyConfig
from edge.uplink.pull import Pulls
from sync_protocol.codec import decode
from sync_protocol.messages import Command, encode_down
from tests.support.edge_fakes import frame_maker
from tests.support.waiting import until
from tests.unit.edge.uplink.test_uplink import FAST, Bench, running

FOREVER = 2**60


def pull(number: int, from_utc_ms: object, to_utc_ms: object, **more: object) -> Command:
    return Command(number, "pull", FOREVER, {"from_utc_ms": from_utc_ms, "to_utc_ms": to_utc_ms, **more})


class Held(NamedTuple):
    stream_id: bytes
    seq: int
    first_utc_ms: int
    last_utc_ms: int
    size_bytes: int


class Finder:
    """Ten frames of ten seconds, 100 bytes each, from 1,000,000 on; the sixth and seventh minute are missing."""

    async def find(self, from_utc_ms: int, to_utc_ms: int) -> tuple[list[Held], int]:
        starts = [1_000_000 + 10_000 * i + (120_000 if i >= 5 else 0) for i in range(10)]
        held = [Held(b"s", i + 1, start, start + 9_999, 100) for i, start in enumerate(starts)]
        return [one for one in held if one.first_utc_ms < to_utc_ms and one.last_utc_ms >= from_utc_ms], 3


class Told(list[tuple[str, dict[str, Any]]]):
    """The events."""

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        self.append((kind, data))


def test_a_pull_ends_with_what_it_brought_and_what_it_could_not() -> None:
    async def scene() -> None:
        told = Told()
        pulls = Pulls(Finder(), told)
        assert pulls.command(pull(1, 1_005_000, 1_240_000))
        assert pulls.command(pull(1, 1_005_000, 1_240_000)), "the cloud repeats itself"
        assert len(await pulls.wanted()) == 10
        pulls.acknowledged(b"other", [(1, 10)])
        pulls.acknowledged(b"s", [(1, 8)])
        assert await pulls.wanted() == ((b"s", 9), (b"s", 10))
        pulls.gone([(b"s", 9), (b"s", 77)])
        pulls.acknowledged(b"s", [(10, 10)])
        ((kind, done),) = told
        assert kind == "pull_done"
        assert done == {
            "number": 1, "frames": 10, "size_bytes": 1000, "held_from_utc_ms": 1_000_000, "held_to_utc_ms": 1_219_999,
            "missing_utc_ms": [[1_049_999, 1_170_000]], "is_cut": False, "undated_frames": 3, "gone_frames": 1,
        }  # fmt: skip
        assert await pulls.wanted() == ()

    asyncio.run(scene())


def test_most_bytes_bounds_a_pull_and_nothing_held_is_an_answer() -> None:
    async def scene() -> None:
        told = Told()
        pulls = Pulls(Finder(), told)
        pulls.command(pull(1, 0, 2_000_000, most_bytes=350))
        assert await pulls.wanted() == ((b"s", 1), (b"s", 2), (b"s", 3))
        pulls.acknowledged(b"s", [(1, 3)])
        pulls.command(pull(2, 3_000_000, 4_000_000))
        assert await pulls.wanted() == ()
        assert [(d["number"], d["frames"], d["is_cut"]) for _, d in told] == [(1, 3, True), (2, 0, False)]
        assert told[1][1]["missing_utc_ms"] == [[3_000_000, 4_000_000]]

    asyncio.run(scene())


@pytest.mark.parametrize(("start", "end"), [(5, 5), (6, 5), ("x", 5), (None, 5)])
def test_a_range_that_is_none_is_refused(start: object, end: object) -> None:
    told = Told()
    assert Pulls(Finder(), told).command(pull(1, start, end))
    assert told[0][0] == "pull_refused"
    assert told[0][1]["reason"].startswith("bad_arguments")


def test_a_pull_can_be_cancelled_waiting_or_at_work_and_the_line_is_bounded() -> None:
    async def scene() -> None:
        told = Told()
        pulls = Pulls(Finder(), told)
        for number in range(1, 11):
            pulls.command(pull(number, 1_000_000, 1_010_000))
        assert [data["reason"] for _, data in told] == ["too_many_waiting"] * 2
        await pulls.wanted()
        for number in (1, 2, 99):
            assert pulls.command(Command(50 + number, "pull_cancel", FOREVER, {"number": number}))
        assert [data["number"] for _, data in told[2:]] == [1, 2]
        await pulls.wanted()
        pulls.acknowledged(b"s", [(1, 1)])
        assert told[-1][1]["number"] == 3
        assert not pulls.command(Command(70, "reboot", FOREVER))

    asyncio.run(scene())


SPENT = UplinkConfig(
    retry_s=0.01, retry_max_s=0.02, hello_wait_s=0.2, window_frames=8,
    policy=PolicyConfig(budget_mb_month=0.001, reserve_mb=0.0009),
)  # fmt: skip


async def commit(bench: Bench, count: int, *, has_event: bool = False, offset_ms: int = 0) -> None:
    """Frames of ten seconds, one after the other, whose UTC is known."""
    for _ in range(count):
        maker = frame_maker(60, has_event=has_event, boot_ms=10_000 * (1 + len(bench.times)))
        await bench.outbox.append(maker, {f"{OFFSET_KEY}1": offset_ms})
        bench.times.append(0)
    bench.uplink.notify()


def test_when_the_budget_is_used_up_only_events_and_pulled_frames_are_sent() -> None:
    async def scene() -> None:
        async with running(SPENT) as bench:
            await commit(bench, 20, offset_ms=5_000_000)
            await until(lambda: bench.uplink.policy.stage == "events_only", 5, "the budget is used up")
            await until(lambda: bench.uplink.state().in_flight == 0, 5, "acknowledgements")
            await commit(bench, 40, offset_ms=5_000_000)
            before = len(bench.cloud.frames)
            await commit(bench, 1, has_event=True, offset_ms=5_000_000)
            await until(lambda: len(bench.cloud.frames) == before + 1, 5, "the event")
            assert await bench.pending() >= 40
            bench.links[-1].inbox.put_nowait(encode_down(pull(7, 5_410_000, 5_450_000)))
            await until(lambda: bool(bench.told), 5, "the end of the pull")
            arrived = {decode(body).header.first_ms // 10_000 for body in bench.cloud.frames.values()}
            assert {41, 42, 43, 44} <= arrived
            assert not arrived & set(range(30, 40)), "what nobody asked for waits"
            assert bench.told[0][1]["frames"] in (4, 5)
            assert await bench.pending() >= 34

    asyncio.run(scene())


def test_a_cloud_that_lost_its_store_gets_the_range_back_first() -> None:
    async def scene() -> None:
        async with running(FAST) as bench:
            await commit(bench, 60, offset_ms=5_000_000)
            await until(bench.all_acknowledged, 5, "acknowledgements")
            bench.cloud.restore(lambda _key: False)
            bench.cloud.order.clear()
            bench.links[-1].inbox.put_nowait(encode_down(pull(7, 5_200_000, 5_240_000)))
            await until(lambda: bool(bench.told), 5, "the end of the pull")
            assert bench.told[0][1]["frames"] == len(bench.cloud.order) == len(bench.cloud.frames)
            assert {decode(body).header.first_ms // 10_000 for body in bench.cloud.frames.values()} >= {20, 21, 22, 23}
            assert bench.uplink.policy.view().connection["pulled"].up > 0

    asyncio.run(scene())
