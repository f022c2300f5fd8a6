"""What becomes of messages: every frame once, every seq under one heading, nothing bad spoils anything good."""

from collections.abc import Iterator
from pathlib import Path
import random

from hypothesis import given, settings
from hypothesis import strategies as st
import msgspec
import pytest

from cloud.config import LimitsConfig
from cloud.facts import DeviceRef
from cloud.ingest.acks import Acked, Acks
from cloud.ingest.limits import Limits
from cloud.ingest.pipeline import Message
from cloud.telemetry.ledger_view import StreamLedgerView, alerts, device_ledger, totals
from cloud.telemetry.quarantine import clear_stored, list_quarantined, quarantined_bodies
from sync_protocol.codec import encode
from sync_protocol.header import HEADER_BYTES, pack_header, read_header
from sync_protocol.messages import (
    Ack,
    Event,
    Gap,
    Hello,
    HelloAnswer,
    Mark,
    Meta,
    StreamState,
    TimeAnchor,
    decode_down,
    encode_hello,
)
from tests.support.fleet import LocalPlane
from tests.support.frames import EPOCH_MS, Drive, group, stamped


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[LocalPlane]:
    made = LocalPlane(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def frames() -> dict[int, bytes]:
    drive = Drive(7, rows=4)
    return {seq: drive.frame(seq) for seq in range(1, 61)}


STREAM = Drive(7).stream_id


def ledger(plane: LocalPlane, device_id: int = 1) -> StreamLedgerView:
    return plane.store.read_sync(lambda cursor: device_ledger(cursor, 1, device_id))[0]


def hello(*streams: StreamState) -> bytes:
    return encode_hello(Hello("test", 1, 5, streams))


def damaged(frame: bytes) -> bytes:
    """A frame whose header is right and whose body is not."""
    return frame[:-3] + bytes([frame[-3] ^ 0x55]) + frame[-2:]


def test_frames_become_rows_events_and_marks(plane: LocalPlane) -> None:
    meta = Meta(
        (Event(2000, "harsh_brake", {"decel_ms2": 4.2}),),
        (TimeAnchor(1000, EPOCH_MS + 1000, "gps", 20),),
        (Mark(14, 1000, 2000, "stale"),),
    )
    values = {"engine_rpm": [800.0, None, 820.0], "lat_deg": [47.1, 47.2, 47.3], "is_mil_on": [1.0, None, 0.0]}
    plane.feed([encode(STREAM, 1, 1, [group(values, [1000, 2000, 3000])], meta)])
    assert plane.rows("SELECT epoch_ms(ts), engine_rpm, lat_deg, is_mil_on FROM tel ORDER BY ts") == [
        (EPOCH_MS + 1000, 800.0, 47.1, True),
        (EPOCH_MS + 2000, None, 47.2, None),
        (EPOCH_MS + 3000, 820.0, 47.3, False),
    ]
    assert plane.rows("SELECT epoch_ms(ts), kind, data FROM events") == [
        (EPOCH_MS + 2000, "harsh_brake", '{"decel_ms2":4.2}')
    ]
    assert plane.rows("SELECT signal_id, epoch_ms(first), epoch_ms(last), kind FROM tel_marks") == [
        (14, EPOCH_MS + 1000, EPOCH_MS + 2000, "stale")
    ]
    assert plane.verify().samples == 7


def test_groups_of_one_instant_share_a_row(plane: LocalPlane) -> None:
    groups = [
        group({"engine_rpm": [800.0, 810.0]}, [1000, 2000]),
        group({"battery_v": [14.1]}, [2000]),
        group({"lat_deg": [47.0]}, [1500]),
    ]
    anchors = (TimeAnchor(1000, EPOCH_MS + 1000, "gps", 20),)
    plane.feed([encode(STREAM, 1, 1, groups, Meta((), anchors))])
    assert plane.rows("SELECT epoch_ms(ts) - 1780000000000, engine_rpm, lat_deg FROM tel ORDER BY ts") == [
        (1000, 800.0, None),
        (1500, None, 47.0),
        (2000, 810.0, None),
    ]
    assert plane.verify().samples == 4


def test_a_value_beyond_its_column_is_left_out_and_verify_says_so(plane: LocalPlane) -> None:
    made = group({"speed_kmh": [40.0, 50.0]}, [1000, 2000])
    made.values[0, 1] = 300
    plane.feed([encode(STREAM, 1, 1, [made], Meta((), (TimeAnchor(1000, EPOCH_MS, "gps", 20),)))])
    assert plane.rows("SELECT speed_kmh FROM tel ORDER BY ts") == [(40,), (None,)]


@pytest.mark.slow
@settings(max_examples=15)
@given(data=st.data())
def test_any_order_any_duplicates_any_restart(
    frames: dict[int, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    plane = LocalPlane(tmp_path_factory.mktemp("any"))
    sent = data.draw(st.lists(st.sampled_from(sorted(frames)), min_size=1, max_size=80))
    for seq in sent:
        plane.take([frames[seq]])
        if data.draw(st.integers(0, 9)) == 0:
            plane.commit()
        if data.draw(st.integers(0, 29)) == 0:
            plane.commit()
            plane.close()
            plane.store = type(plane.store)(plane.store.path)
            plane.open()
    plane.commit()
    report = plane.verify()
    assert report.frames == len(set(sent))
    assert {seq for first, last in ledger(plane).stored for seq in range(first, last + 1)} == set(sent)
    plane.close()


def test_duplicates_are_acknowledged_again(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    plane.feed([frames[seq] for seq in range(1, 51)])
    done = plane.feed([frames[1], frames[50], frames[50]])
    assert done is not None
    assert sorted(acked.seq for acked in done.acked) == [1, 50, 50]
    assert plane.pipeline.counters.duplicates == 3
    assert plane.verify().frames == 50


def test_poison_among_good(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    rng = random.Random(2)
    batch = [
        frames[1],
        damaged(frames[2]),
        b"",
        b"\xd4M",
        b"\xd4H\xff\xff",
        rng.randbytes(300),
        frames[3][: HEADER_BYTES - 1],
        frames[3],
        b"\xd4M" + rng.randbytes(200),
        frames[4][:-1],
        frames[5],
    ]
    done = plane.feed(batch)
    assert done is not None
    assert {acked.seq for acked in done.acked} == {1, 2, 3, 4, 5}
    view = ledger(plane)
    assert view.stored == [(1, 1), (3, 3), (5, 5)]
    assert view.quarantined == [(2, 2), (4, 4)]
    counters = plane.pipeline.counters
    assert counters.dropped["no_magic"] == 2
    assert counters.received == counters.accounted() == len(batch)
    assert counters.waiting == 0
    kinds = [q.kind for q in plane.store.read_sync(lambda cursor: list_quarantined(cursor, 1))]
    assert sorted(kinds) == ["bad_hello", *["undecodable"] * 5]
    plane.verify()


def test_quarantine_keeps_bytes_once_and_gives_them_back(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    bad = damaged(frames[2])
    for _ in range(3):
        plane.feed([bad])
    (row,) = plane.store.read_sync(lambda cursor: list_quarantined(cursor, 1))
    assert (row.seq, row.times, row.kind) == (2, 3, "undecodable")
    ((_, device_id, _, body),) = plane.store.read_sync(lambda cursor: quarantined_bodies(cursor, 1))
    assert (device_id, body) == (1, bad)
    plane.feed([frames[2]])
    assert ledger(plane).stored == [(2, 2)]
    assert ledger(plane).quarantined == []
    assert plane.store.write_sync(clear_stored) == 0


def test_a_fork_is_kept_told_and_not_acknowledged(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    plane.feed([frames[seq] for seq in range(1, 51)])
    other = Drive(99, rows=4, stream_id=STREAM)
    for seq in (2, 50):  # one checksum from the store, one from memory
        done = plane.feed([other.frame(seq)])
        assert done is not None
        assert [(acked.seq, acked.is_fork) for acked in done.acked] == [(seq, True)]
    assert ledger(plane).forked == [2, 50]
    assert [q.kind for q in plane.store.read_sync(lambda cursor: list_quarantined(cursor, 1))] == ["fork", "fork"]
    assert plane.store.read_sync(lambda cursor: totals(cursor, 1))[1].is_forked
    assert plane.verify().frames == 50


def test_a_stream_belongs_to_one_device(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    plane.feed([frames[1]], device="van-1")
    done = plane.feed([frames[1], frames[2]], device="van-2")
    assert done is not None
    assert all(acked.is_fork for acked in done.acked)
    assert plane.rows("SELECT DISTINCT device_id FROM frames") == [(1,)]
    assert {q.kind for q in plane.store.read_sync(lambda cursor: list_quarantined(cursor, 1))} == {"foreign_stream"}


def test_what_is_not_known_yet_is_never_acknowledged(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    # A version of the future; the header's checksum holds.
    future = pack_header(msgspec.structs.replace(read_header(frames[2]), version=200))
    done = plane.feed([future + frames[2][HEADER_BYTES:], frames[1]])
    assert done is not None
    assert [acked.seq for acked in done.acked] == [1]
    (row,) = plane.store.read_sync(lambda cursor: list_quarantined(cursor, 1))
    assert row.kind == "unavailable"
    assert plane.pipeline.counters.unavailable == 1


def test_unknown_tenants_are_dropped(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    plane.pipeline.take([Message("f.other.van-1", frames[1], 1), Message("f.demo", frames[1], 1)])
    plane.commit()
    assert plane.pipeline.counters.dropped["unknown_device"] == 2
    assert plane.rows("SELECT count(*) FROM frames") == [(0,)]


def test_hello_declares_lost_and_is_answered_with_what_is_stored(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    state = StreamState(STREAM, True, 20, (), ((1, 5), (16, 20)), (Gap(6, 8, "disk_full"), Gap(9, 10, "power")))
    done = plane.feed([frames[1], hello(state), frames[2]])
    assert done is not None
    ((subject, data),) = done.answers
    answer = decode_down(data)
    assert subject == "d.demo.van-1"
    assert isinstance(answer, HelloAnswer)
    (stream,) = answer.streams
    assert stream.stored == ((1, 1),)
    assert [(gap.first, gap.last, gap.reason) for gap in stream.gaps] == [
        (6, 8, "disk_full"),
        (9, 10, "power"),
        (11, 15, "wiped"),
    ]
    view = ledger(plane)
    assert view.stored == [(1, 2)]
    assert view.pending == [(3, 5), (16, 20)]
    assert [(lost.first, lost.last, lost.reason) for lost in view.lost] == [
        (6, 8, "disk_full"),
        (9, 10, "power"),
        (11, 15, "wiped"),
    ]


def test_lost_frames_that_arrive_after_all_are_stored(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    plane.feed([hello(StreamState(STREAM, True, 10, (), (), (Gap(1, 10, "power"),)))])
    plane.feed([frames[4]])
    view = ledger(plane)
    assert view.stored == [(4, 4)]
    assert [(lost.first, lost.last) for lost in view.lost] == [(1, 3), (5, 10)]
    plane.verify()


def test_a_restored_older_outbox(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    """The card comes back from a backup at frame 30: the hello shows the cloud ahead, a new stream follows."""
    plane.feed([frames[seq] for seq in range(1, 51)])
    done = plane.feed([hello(StreamState(STREAM, True, 30, ((1, 20),), ((1, 30),)))])
    assert done is not None
    answer = decode_down(done.answers[0][1])
    assert isinstance(answer, HelloAnswer)
    assert answer.streams[0].stored == ((1, 50),)
    plane.feed([frames[seq] for seq in range(21, 31)])  # sent again, not acknowledged as far as the backup knows
    fresh = Drive(8, rows=4)
    plane.feed(
        [
            hello(
                StreamState(STREAM, False, 30, ((1, 30),), ((1, 30),)),
                StreamState(fresh.stream_id, True, 1, (), ((1, 1),)),
            ),
            fresh.frame(1),
        ]
    )
    assert plane.verify().frames == 51
    views = plane.store.read_sync(lambda cursor: device_ledger(cursor, 1, 1))
    assert [(view.is_active, view.stored) for view in views] == [(True, [(1, 1)]), (False, [(1, 50)])]


def test_a_wiped_device_leaves_its_old_stream_lost(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    plane.feed([frames[1], frames[5]])
    plane.feed([hello(StreamState(bytes(16), True, 0))])
    view = plane.store.read_sync(lambda cursor: device_ledger(cursor, 1, 1))[1]
    assert [(lost.first, lost.last, lost.reason) for lost in view.lost] == [(2, 4, "wiped")]


@pytest.mark.parametrize(
    "state",
    [
        StreamState(b"short", True, 1),
        StreamState(STREAM, True, 1 << 40),
        StreamState(STREAM, True, -1),
    ],
)
def test_a_hello_that_cannot_be_is_set_aside(plane: LocalPlane, state: StreamState) -> None:
    plane.feed([hello(state)])
    assert plane.pipeline.counters.quarantined == 1
    assert plane.rows("SELECT kind FROM quarantine") == [("bad_hello",)]


def test_limits_leave_frames_unacknowledged_and_open_an_alert(tmp_path: Path, frames: dict[int, bytes]) -> None:
    plane = LocalPlane(
        tmp_path, limits=LimitsConfig(frames_per_s=1, frames_burst=10, new_streams_a_day=2, open_ranges=3)
    )
    done = plane.feed([frames[seq] for seq in (1, 3, 5, 7, 2)])  # 7 would open a fourth range, 2 closes one
    assert done is not None
    assert [acked.seq for acked in done.acked] == [1, 3, 5, 2]
    for seed in (20, 21, 22):
        plane.feed([Drive(seed, rows=2).frame(1)])
    done = plane.feed([frames[seq] for seq in range(4, 20)])
    assert done is not None
    assert len(done.acked) < 16
    kinds = {alert.kind for alert in plane.store.read_sync(lambda cursor: alerts(cursor, 1, 1))}
    assert kinds == {"open_ranges", "new_streams", "frame_rate"}
    counters = plane.pipeline.counters
    assert counters.received == counters.accounted()
    plane.received_us += 3_600_000_000  # an hour later the device may send again
    plane.feed([frames[seq] for seq in range(4, 12)])
    oldest = plane.store.read_sync(lambda cursor: device_ledger(cursor, 1, 1))[-1]
    assert oldest.stored[0] == (1, 11)
    plane.verify()
    plane.close()


def test_months_at_once_are_admitted_and_a_flood_is_not() -> None:
    assert LimitsConfig().frames_burst >= 60 * 8_640, "60 days of 10 s frames"
    passed_us = [0]
    limits = Limits(LimitsConfig(frames_per_s=50, frames_burst=9_000), lambda: passed_us[0])
    assert all(limits.frame(1) is None for _ in range(8_640))
    admitted = 0
    for second in range(60):
        passed_us[0] = 1_000_000 * second
        admitted += sum(limits.frame(1) is None for _ in range(500))
    assert admitted == 9_000 - 8_640 + 59 * 50
    assert limits.frame(2) is None, "another device does not feel it"
    assert limits.frame(1) is not None
    passed_us[0] += 1_000_000
    assert limits.frame(1) is None


def test_a_failed_commit_is_told(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    plane.store.write_sync(lambda cursor: cursor.execute("DROP TABLE tel_marks"))
    plane.store.write_sync(lambda cursor: cursor.execute("DROP TABLE latest"))
    with pytest.raises(Exception, match="latest"):
        plane.feed([frames[1]])
    assert plane.rows("SELECT count(*) FROM frames") == [(0,)]


def test_live_values_follow_sequence_and_not_arrival(plane: LocalPlane, frames: dict[int, bytes]) -> None:
    plane.feed([frames[1], frames[10]])
    plane.feed([frames[5]])
    assert plane.rows("SELECT seq, epoch_ms(ts) FROM latest") == [(10, read_header(frames[10]).last_ms + EPOCH_MS)]


def test_acks_gather_until_they_are_due() -> None:
    acks = Acks(ack_frames=3, ack_delay_s=2.0)
    van = DeviceRef(1, 1, "demo", "van-1")
    acks.add([Acked(van, STREAM, 1, 0b0101), Acked(van, STREAM, 2, 0b0011)], now_s=10.0)
    assert acks.due(11.0) == []
    ((subject, data),) = acks.due(12.0)
    assert (subject, decode_down(data)) == ("d.demo.van-1", Ack(STREAM, ((1, 2, 0b0110),)))
    acks.add([Acked(van, STREAM, n, n) for n in (3, 4, 6)], now_s=20.0)
    ((_, data),) = acks.due(20.0)
    assert decode_down(data) == Ack(STREAM, ((3, 4, 7), (6, 6, 6)))
    acks.add([Acked(van, STREAM, 9, 99, is_fork=True)], now_s=30.0)
    ((_, data),) = acks.due(30.0)
    assert decode_down(data) == Ack(STREAM, (), ((9, 99),))


def test_acks_of_fast_frames_and_of_slow_ones_come_once_a_minute() -> None:
    van = DeviceRef(1, 1, "demo", "van-1")
    for period_s, times in ((1, [59, 119]), (10, [60])):
        acks, told = Acks(ack_frames=6, ack_delay_s=60.0), []
        for number in range(120 // period_s):
            acks.add([Acked(van, STREAM, number, 0)], now_s=number * period_s)
            if acks.due(number * period_s):
                told.append(number * period_s)
        assert told[:2] == times


def test_acks_of_a_backlog_that_trickles_do_not_wait() -> None:
    acks, van = Acks(ack_frames=6, ack_delay_s=60.0), DeviceRef(1, 1, "demo", "van-1")
    told = 0
    for number in range(0, 120, 4):
        acks.add([Acked(van, STREAM, number + i, 0) for i in range(4)], now_s=1.0)
        told += len(acks.due(1.0))
    assert told == 2


def test_acks_of_a_device_that_asks_wait_no_longer() -> None:
    acks = Acks(ack_frames=6, ack_delay_s=60.0)
    for number in (1, 2):
        acks.add([Acked(DeviceRef(number, 1, "demo", f"van-{number}"), bytes([number]) * 16, 7, 7)], now_s=10.0)
    acks.hurry(frozenset(["d.demo.van-2"]))
    assert [subject for subject, _ in acks.due(11.0)] == ["d.demo.van-2"]
    assert [subject for subject, _ in acks.due(70.0)] == ["d.demo.van-1"]


def test_stamped_frames_decode(frames: dict[int, bytes], plane: LocalPlane) -> None:
    plane.feed([stamped(frames[1], bytes(16), 1, 5000), stamped(frames[2], bytes(16), 2, 50_000)])
    assert plane.verify().frames == 2
