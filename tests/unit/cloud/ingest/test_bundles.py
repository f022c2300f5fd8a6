"""Frames that came in bundles: each takes the path of a frame, and a bundle that cannot be opened spoils nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.ingest.pipeline import Message
from cloud.telemetry.quarantine import list_quarantined
from sync_protocol.bundle import pack
from sync_protocol.messages import Hello, encode_hello
from sync_protocol.short import shorten
from tests.support.fleet import LocalPlane
from tests.support.frames import Drive

DRIVE = Drive(7, rows=4)
FRAMES = {seq: DRIVE.frame(seq) for seq in range(1, 21)}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[LocalPlane]:
    made = LocalPlane(tmp_path)
    yield made
    made.close()


def some(*numbers: int) -> list[bytes]:
    return [FRAMES[number] for number in numbers]


def kinds(plane: LocalPlane) -> list[tuple[str, int | None]]:
    return [(row.kind, row.seq) for row in plane.store.read_sync(lambda cursor: list_quarantined(cursor, 1))]


def test_a_bundle_is_stored_as_its_frames_would_be_alone(plane: LocalPlane, tmp_path: Path) -> None:
    done = plane.feed([pack(some(1, 2, 3)), FRAMES[4], pack(some(6, 5)), pack(some(7))])
    alone = LocalPlane(tmp_path / "alone")
    alone.feed(some(1, 2, 3, 4, 6, 5, 7))
    for sql in (
        "SELECT seq, crc, body FROM frames ORDER BY seq",
        "SELECT ts, engine_rpm, speed_kmh, lat_deg FROM tel ORDER BY ts",
    ):
        assert plane.rows(sql) == alone.rows(sql)
    alone.close()
    assert done is not None
    assert sorted(acked.seq for acked in done.acked) == [1, 2, 3, 4, 5, 6, 7]
    counters = plane.pipeline.counters
    assert (counters.received, counters.stored, counters.waiting) == (7, 7, 0)
    assert plane.verify().frames == 7


def test_a_frame_of_a_bundle_may_be_known_already_or_bad(plane: LocalPlane) -> None:
    plane.feed(some(1, 2))
    damaged = FRAMES[4][:-1] + bytes([FRAMES[4][-1] ^ 1])
    hello = encode_hello(Hello("test", 1, 5, ()))
    done = plane.feed([pack([*some(2, 3), damaged, b"no frame", hello, FRAMES[5]])])
    assert done is not None
    assert sorted(acked.seq for acked in done.acked) == [2, 3, 4, 5]
    assert kinds(plane) == [("undecodable", 4)]
    counters = plane.pipeline.counters
    assert (counters.duplicates, counters.quarantined, counters.hellos, counters.stored) == (1, 1, 1, 4)
    assert counters.dropped == {"no_magic": 1}
    assert counters.received == counters.accounted() == 8


def test_a_bundle_that_cannot_be_opened_is_kept_whole_and_not_acknowledged(plane: LocalPlane) -> None:
    packed = pack(some(1, 2, 3))
    broken, newer = packed[:-1] + bytes([packed[-1] ^ 1]), packed[:2] + b"\x09" + packed[3:]
    done = plane.feed([broken, newer, pack(some(4))])
    assert done is not None
    assert [acked.seq for acked in done.acked] == [4]
    assert sorted(kinds(plane)) == [("unavailable", None), ("undecodable", None)]
    counters = plane.pipeline.counters
    assert counters.received == counters.accounted() == 3
    done = plane.feed(some(1, 2, 3))
    assert done is not None
    assert [acked.seq for acked in done.acked] == [1, 2, 3], "single frames get through"


def test_a_strangers_bundle_is_not_opened(plane: LocalPlane) -> None:
    plane.pipeline.take([Message("f.demo.*", pack(some(1, 2)), 1)])
    assert plane.pipeline.counters.dropped == {"unknown_device": 1}


def test_short_forms_are_stored_as_their_frames_and_one_of_a_strange_stream_waits(plane: LocalPlane) -> None:
    shorts = {seq: short for seq, whole in FRAMES.items() if (short := shorten(whole)) is not None}
    assert len(shorts) == len(FRAMES)
    plane.feed([shorts[1]])
    assert kinds(plane) == [("unavailable", None)], "its stream is not known yet: never acknowledged"
    other = Drive(8, rows=4)
    plane.feed(some(1))
    plane.feed([other.frame(1)])  # the device's newest stream is another one now
    done = plane.feed([shorts[2], FRAMES[3], shorts[4], shorten(other.frame(2)) or b"", shorts[2]])
    assert done is not None
    assert sorted((acked.stream_id == other.stream_id, acked.seq) for acked in done.acked) == [
        (False, 2), (False, 2), (False, 3), (False, 4), (True, 2),
    ]  # fmt: skip
    assert plane.rows("SELECT body FROM frames WHERE seq = 4") == [(FRAMES[4],)]
    counters = plane.pipeline.counters
    assert (counters.duplicates, counters.stored, counters.waiting) == (1, 6, 0)
