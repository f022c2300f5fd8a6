"""Device time to UTC: by the best anchors, whenever they come, and the same rows whatever the order."""

from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from cloud.telemetry.reproject import reproject
from cloud.telemetry.timeline import EVERYTHING, FOREVER_MS, Span, Timeline
from sync_protocol.codec import encode
from sync_protocol.messages import Hello, Meta, StreamState, TimeAnchor, encode_hello
from tests.support.fleet import LocalPlane
from tests.support.frames import EPOCH_MS, Drive, group

TEL = "SELECT * FROM tel ORDER BY stream_no, boot, seq, ts"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[LocalPlane]:
    made = LocalPlane(tmp_path)
    yield made
    made.close()


def test_offsets_hold_from_their_anchor_to_the_next() -> None:
    timeline = Timeline()
    assert timeline.utc_ms(5) is None
    assert timeline.add(1000, 101_000, "gps") == EVERYTHING
    assert timeline.add(5000, 105_010, "gps") == Span(5000, FOREVER_MS)
    assert timeline.add(3000, 103_005, "gps") == Span(3000, 4999)
    assert [timeline.utc_ms(ms) for ms in (0, 1000, 2999, 3000, 4999, 5000, 9000)] == [
        100_000,
        101_000,
        102_999,
        103_005,
        105_004,
        105_010,
        109_010,
    ]


def test_a_better_source_replaces_all_and_a_worse_one_nothing() -> None:
    timeline = Timeline()
    timeline.add(1000, 50_000, "rtc")
    assert timeline.add(9000, 109_000, "gps") == EVERYTHING
    assert timeline.utc_ms(0) == 100_000
    assert timeline.add(2000, 999_000, "ntp") is None
    assert timeline.source == "gps"


@given(
    anchors=st.lists(
        st.tuples(st.integers(0, 100), st.integers(0, 100), st.sampled_from(["gps", "ntp", "guess"])), max_size=12
    ),
    order=st.randoms(),
)
def test_the_order_of_anchors_does_not_matter(anchors: list[tuple[int, int, str]], order: object) -> None:
    one, other = Timeline(), Timeline()
    for boot_ms, shift, source in anchors:
        one.add(boot_ms, 10_000 + boot_ms + shift, source)
    shuffled = list(anchors)
    order.shuffle(shuffled)
    for boot_ms, shift, source in shuffled:
        before = {ms: other.utc_ms(ms) for ms in range(0, 120, 7)}
        span = other.add(boot_ms, 10_000 + boot_ms + shift, source)
        for ms, utc_ms in before.items():
            if other.utc_ms(ms) != utc_ms:
                assert span is not None
                assert span.first_ms <= ms <= span.last_ms
    assert [one.utc_ms(ms) for ms in range(120)] == [other.utc_ms(ms) for ms in range(120)]


@given(
    anchors=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 3)), min_size=1, max_size=12),
    instants=st.lists(st.integers(0, 100), min_size=1, max_size=8).map(sorted),
)
def test_one_instant_many_and_a_whole_frame_are_turned_alike(
    anchors: list[tuple[int, int]], instants: list[int]
) -> None:
    timeline, offsets = Timeline(), dict[int, int]()
    for boot_ms, shift in anchors:
        timeline.add(boot_ms, boot_ms + shift, "gps")
        offsets[boot_ms] = min(shift, offsets.get(boot_ms, shift))
    before = [max((at for at in offsets if at <= ms), default=min(offsets)) for ms in instants]
    expected = [ms + offsets[at] for ms, at in zip(instants, before, strict=True)]
    assert [timeline.utc_ms(ms) for ms in instants] == expected
    assert timeline.project(np.array(instants, np.int64)).tolist() == expected
    constant = timeline.constant(instants[0], instants[-1])
    assert (constant is None) == (before[0] != before[-1])
    assert constant is None or [ms + constant for ms in instants] == expected


def test_frames_wait_for_an_anchor_and_are_projected_when_it_comes(plane: LocalPlane) -> None:
    drive = Drive(1, rows=5, anchor_every=0)
    plane.feed([drive.frame(seq) for seq in range(1, 11)])
    report = plane.verify()
    assert (report.frames, report.rows, report.waiting_frames) == (10, 0, 10)
    anchor = TimeAnchor(drive.first_ms(11), drive.utc_ms(drive.first_ms(11)), "gps", 20)
    plane.feed([drive.frame(11, anchors=(anchor,))])
    assert plane.verify().rows == 55
    assert plane.rows("SELECT epoch_ms(min(ts)) FROM tel") == [(drive.utc_ms(drive.first_ms(1)),)]
    assert plane.news[-1] == (frozenset({1}), True)


def test_a_better_anchor_moves_rows_that_stand(plane: LocalPlane) -> None:
    drive = Drive(1, rows=5, anchor_every=0)
    rtc = TimeAnchor(drive.first_ms(1), drive.utc_ms(drive.first_ms(1)) - 86_400_000, "rtc", 10_000)
    plane.feed([drive.frame(1, anchors=(rtc,)), *(drive.frame(seq) for seq in range(2, 11))])
    assert plane.rows("SELECT epoch_ms(min(ts)) FROM tel") == [(drive.utc_ms(drive.first_ms(1)) - 86_400_000,)]
    gps = TimeAnchor(drive.first_ms(11), drive.utc_ms(drive.first_ms(11)), "gps", 20)
    plane.feed([drive.frame(11, anchors=(gps,))])
    assert plane.rows("SELECT epoch_ms(min(ts)), count(*) FROM tel") == [(drive.utc_ms(drive.first_ms(1)), 55)]
    days = plane.rows("SELECT DISTINCT bucket::DATE FROM dirty ORDER BY 1")
    assert len(days) == 2  # the minutes the rows left and the minutes they came to
    plane.verify()


def test_a_new_signal_comes_with_the_anchor_that_moves_older_rows(plane: LocalPlane) -> None:
    """DuckDB commits no column that is added after a DELETE, and moving rows deletes them."""
    stream_id = bytes(range(16))

    def frame(seq: int, values: dict[str, list[float | None]], anchor: TimeAnchor) -> bytes:
        return encode(stream_id, seq, 1, [group(values, [seq * 1000])], Meta((), (anchor,)))

    plane.feed([frame(1, {"speed_kmh": [10]}, TimeAnchor(1000, 1_790_000_000_000, "rtc", 10_000))])
    plane.feed([frame(2, {"speed_kmh": [11], "engine_rpm": [800]}, TimeAnchor(2000, 1_790_000_101_000, "gps", 20))])
    assert plane.rows("SELECT epoch_ms(ts), speed_kmh, engine_rpm FROM tel ORDER BY ts") == [
        (1_790_000_100_000, 10, None),
        (1_790_000_101_000, 11, 800),
    ]
    plane.verify()


def test_a_boot_with_a_signal_of_its_own_is_placed_beside_one_that_moves(plane: LocalPlane) -> None:
    """Nothing of a waiting boot has been projected when the rows of another are deleted in the same transaction."""
    stream_id = bytes(range(16))

    def frame(seq: int, boot: int, name: str, anchors: tuple[TimeAnchor, ...]) -> bytes:
        return encode(stream_id, seq, boot, [group({name: [10]}, [seq * 1000])], Meta((), anchors))

    plane.feed([frame(1, 1, "speed_kmh", (TimeAnchor(1000, 1_790_000_000_000, "rtc", 10_000),))])
    plane.feed([frame(2, 2, "coolant_c", ())])
    better, first = (TimeAnchor(1500, 1_790_000_100_500 + hour * 3_600_000, "gps", 20) for hour in (0, 1))
    plane.feed([frame(3, 1, "speed_kmh", (better,)), frame(4, 2, "speed_kmh", (first,))])
    assert plane.rows("SELECT seq, epoch_ms(ts), speed_kmh, coolant_c FROM tel ORDER BY seq") == [
        (1, 1_790_000_100_000, 10, None),
        (2, 1_790_003_701_000, None, 10),
        (3, 1_790_000_102_000, 10, None),
        (4, 1_790_003_703_000, 10, None),
    ]
    plane.verify()


@pytest.mark.slow
def test_rows_are_the_same_whatever_order_anchors_come_in(tmp_path: Path) -> None:
    def anchored(seq: int) -> bytes:
        at = drive.first_ms(seq)
        return drive.frame(seq, anchors=(TimeAnchor(at, drive.utc_ms(at) + seq, "gps", 20),) if seq % 3 == 0 else ())

    drive = Drive(1, rows=5, anchor_every=0)
    frames = {seq: anchored(seq) for seq in range(1, 31)}
    found = []
    for name, order in (
        ("in order", list(range(1, 31))),
        ("newest first", [*range(25, 31), *range(1, 25)]),
        ("backwards", list(range(30, 0, -1))),
    ):
        plane = LocalPlane(tmp_path / name)
        for seq in order:
            plane.feed([frames[seq]])
        plane.verify()
        found.append(plane.rows(TEL))
        plane.close()
    assert found[0] == found[1] == found[2]


def test_anchors_hold_over_a_restart(plane: LocalPlane) -> None:
    drive = Drive(1, rows=5, anchor_every=0)
    first = TimeAnchor(drive.first_ms(1), drive.utc_ms(drive.first_ms(1)), "gps", 20)
    plane.feed([drive.frame(1, anchors=(first,)), drive.frame(2), drive.frame(9)])
    plane.close()
    plane.store = type(plane.store)(plane.store.path)
    plane.open()
    late = TimeAnchor(drive.first_ms(5), drive.utc_ms(drive.first_ms(5)) + 500, "gps", 20)
    plane.feed([drive.frame(3), drive.frame(5, anchors=(late,))])
    starts = plane.rows(f"SELECT seq, epoch_ms(min(ts)) - {EPOCH_MS} FROM tel GROUP BY seq ORDER BY seq")
    assert starts == [(seq, drive.first_ms(seq) + shift) for seq, shift in ((1, 0), (2, 0), (3, 0), (5, 500), (9, 500))]
    plane.verify()


def test_a_boot_without_anchor_is_placed_between_its_neighbours(plane: LocalPlane) -> None:
    stream = bytes(range(16))
    one = Drive(1, rows=5, boot=1, stream_id=stream, anchor_every=1)
    two = Drive(2, rows=5, boot=2, stream_id=stream, anchor_every=0)
    three = Drive(3, rows=5, boot=3, stream_id=stream, anchor_every=1, epoch_ms=EPOCH_MS + 3_600_000)
    plane.feed([one.frame(1), two.frame(2), two.frame(3)])
    assert plane.pipeline.place_boots() == 0  # nothing lies after it yet
    plane.feed([three.frame(5)])
    assert plane.pipeline.place_boots() == 0  # frame 4 may be its own
    plane.feed([three.frame(4)])
    assert plane.pipeline.place_boots() == 1
    plane.commit()
    ((first, last),) = plane.rows("SELECT epoch_ms(min(ts)), epoch_ms(max(ts)) FROM tel WHERE boot = 2")
    ((before,),) = plane.rows("SELECT epoch_ms(max(ts)) FROM tel WHERE boot = 1")
    ((after,),) = plane.rows("SELECT epoch_ms(min(ts)) FROM tel WHERE boot = 3")
    assert isinstance(first, int)
    assert isinstance(last, int)
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert abs((first - before) - (after - last)) <= 2
    assert plane.rows("SELECT source FROM anchors WHERE boot = 2") == [("placed",)]
    assert plane.verify().waiting_frames == 0


def test_a_hello_gives_a_boot_its_first_time(plane: LocalPlane) -> None:
    drive = Drive(1, rows=5, anchor_every=0)
    plane.feed([drive.frame(1)])
    plane.feed([encode_hello(Hello("test", 1, 20_000, (StreamState(drive.stream_id, True, 1, (), ((1, 1),)),)))])
    assert plane.rows("SELECT source, boot_ms FROM anchors") == [("cloud", 20_000)]
    assert plane.verify().rows == 5
    own = Hello("test", 1, 30_000, (StreamState(drive.stream_id, True, 1),), EPOCH_MS + 30_000, "ntp")
    plane.feed([encode_hello(own)])
    assert plane.rows("SELECT count(*) FROM anchors") == [(1,)]  # it has one already


def test_impossible_anchors_are_not_believed(plane: LocalPlane) -> None:
    drive = Drive(1, rows=5, anchor_every=0)
    wrong = (
        TimeAnchor(5000, 1 << 62, "gps", 20),
        TimeAnchor(5000, 1000, "gps", 20),
        TimeAnchor(-5, EPOCH_MS, "gps", 1),
    )
    plane.feed([drive.frame(1, anchors=(TimeAnchor(5000, 12, "gps", 1), *wrong[:2]))])
    assert plane.pipeline.counters.anchors_refused == 3
    assert plane.verify().waiting_frames == 1


def test_the_projection_can_be_made_again(plane: LocalPlane) -> None:
    for seed, boot in ((1, 1), (2, 3)):
        drive = Drive(seed, rows=5, boot=boot, anchor_every=7)
        order = [*range(20, 31), *range(1, 20)]
        for at in range(0, 30, 7):
            plane.feed([drive.frame(seq) for seq in order[at : at + 7]], device=f"van-{seed}")
    made, events = plane.rows(TEL), plane.rows("SELECT * FROM events ORDER BY ALL")
    count = plane.store.write_sync(lambda cursor: reproject(cursor, plane.writer.timeline, plane.registry.vehicle_at))
    assert count == 60
    assert plane.rows(TEL) == made
    assert plane.rows("SELECT * FROM events ORDER BY ALL") == events
    plane.verify()


def test_a_device_that_moves_to_another_vehicle(plane: LocalPlane) -> None:
    drive = Drive(1, rows=10)
    change = drive.utc_ms(drive.first_ms(2)) + 4500
    plane.registry.seats[1] = [(0, 7), (change * 1000, 8)]
    plane.feed([drive.frame(1), drive.frame(2), drive.frame(3)])
    assert plane.rows("SELECT vehicle_id, count(*) FROM tel GROUP BY ALL ORDER BY 1") == [(7, 15), (8, 15)]
    plane.registry.seats[1].append((drive.utc_ms(drive.first_ms(4)) * 1000, None))
    plane.feed([drive.frame(4)])
    assert plane.rows("SELECT count(*) FROM tel WHERE vehicle_id IS NULL") == [(10,)]
    plane.verify()
