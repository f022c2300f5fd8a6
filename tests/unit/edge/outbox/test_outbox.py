"""Numbers, order of sending, streams, and what the cloud's words change."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room, ballast_path
from sync_protocol.codec import decode
from sync_protocol.errors import Conflict, Full
from sync_protocol.messages import Gap, StreamAnswer
from tests.support.edge_fakes import IDENTITY, ack_range, frame_maker

SMALL = Room(size_bytes=64 * 4096, ballast_bytes=8192)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return outbox_path(tmp_path, "acme", "van-1")


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    box = Outbox(path, IDENTITY, SMALL)
    yield box
    box.close()


def fill(outbox: Outbox, count: int, *, has_event: bool = False, size_bytes: int = 100) -> None:
    for _ in range(count):
        outbox.append(frame_maker(size_bytes, has_event=has_event))


def test_numbers_start_at_one_and_the_file_has_its_full_size_at_once(outbox: Outbox, path: Path) -> None:
    assert outbox.append(frame_maker()) == (outbox.active.stream_id, 1)
    assert outbox.append(frame_maker()) == (outbox.active.stream_id, 2)
    assert path.stat().st_size >= SMALL.size_bytes * 0.9
    assert ballast_path(path).stat().st_size == SMALL.ballast_bytes
    assert outbox.previous.reason == "first_start"
    assert outbox.new_stream == "created"


def test_a_second_process_is_refused(outbox: Outbox, path: Path) -> None:
    with pytest.raises(Conflict):
        Outbox(path, IDENTITY, SMALL)


def test_order_is_events_then_newest_then_oldest(outbox: Outbox) -> None:
    fill(outbox, 3)
    fill(outbox, 1, has_event=True)
    fill(outbox, 3)
    assert [frame.seq for frame in outbox.pick(10)] == [4, 7, 1, 2, 3, 5, 6]
    stream_id = outbox.active.stream_id
    assert [frame.seq for frame in outbox.pick(2, {(stream_id, 4), (stream_id, 7)})] == [1, 2]


def test_acknowledged_frames_stay_on_disk_until_room_is_needed(outbox: Outbox) -> None:
    fill(outbox, 4)
    stream = outbox.active
    first, last, crc = ack_range(outbox, stream.stream_id, 1, 3)
    assert outbox.ack(stream.stream_id, [(first, last, crc ^ 1), (9, 12, 0), (3, 5, crc)]) == []
    assert outbox.ack(b"?" * 16, [(first, last, crc)]) == []
    assert stream.acked.pairs() == (), "a clone's acknowledgements are not ours"
    assert outbox.ack(stream.stream_id, [(first, last, crc), (9, 12, 0)]) == [(1, 3)]
    assert [frame.seq for frame in outbox.pick(10)] == [4]
    assert stream.held.pairs() == ((1, 4),)
    assert stream.acked.pairs() == ((1, 3),)


def test_eviction_takes_acknowledged_then_plain_then_events_oldest_first(outbox: Outbox) -> None:
    fill(outbox, 4, has_event=True, size_bytes=1500)
    fill(outbox, 20, size_bytes=1500)
    stream = outbox.active
    outbox.ack(stream.stream_id, [ack_range(outbox, stream.stream_id, 10, 12)])
    fill(outbox, 15, size_bytes=9000)
    assert not any(seq in stream.held for seq in (10, 11, 12))
    lost = [(a, b) for a, b, _, _ in stream.gap_rows()]
    assert lost
    assert lost[0][0] == 5, "the oldest frame without events goes first"
    assert all(seq in stream.held for seq in (1, 2, 3, 4))
    fill(outbox, 160, has_event=True, size_bytes=1900)
    assert 1 not in stream.held
    assert stream.urgent.count() == stream.pending.count()
    assert {row[2] for row in stream.gap_rows()} == {"disk_full"}


def test_a_frame_larger_than_the_room_is_refused_and_uses_no_number(tmp_path: Path) -> None:
    path = outbox_path(tmp_path, "acme", "van-1")
    outbox = Outbox(path, IDENTITY, Room(size_bytes=33 * 4096, ballast_bytes=0))
    fill(outbox, 2)
    with pytest.raises(Full):
        outbox.append(lambda *number: frame_maker()(*number) + bytes(200_000))
    outbox.close()
    again = Outbox(path, IDENTITY, Room(size_bytes=33 * 4096, ballast_bytes=0))
    assert again.append(frame_maker())[1] == 3
    assert again.active.held.pairs() == ((1, 3),)
    again.close()


def test_values_kept_with_a_frame_survive(path: Path) -> None:
    outbox = Outbox(path, IDENTITY, SMALL)
    assert outbox.kept("odometer_raw") == 0
    outbox.append(frame_maker(), {"odometer_raw": 123})
    outbox.close(None)
    again = Outbox(path, IDENTITY, SMALL)
    assert again.kept("odometer_raw") == 123
    assert (again.previous.reason, again.previous.last_boot_ms > 0) == ("killed", True)
    again.close("updating")
    third = Outbox(path, msgspec.structs.replace(IDENTITY, kernel_boot="boot-b"), SMALL)
    assert (third.previous.reason, third.boot) == ("updating", 2)
    third.close(None)
    last = Outbox(path, msgspec.structs.replace(IDENTITY, kernel_boot="boot-c"), SMALL)
    assert (last.previous.reason, last.boot) == ("power", 3)
    last.close()


def test_another_machine_starts_a_new_stream_and_still_sends_the_old_frames(path: Path) -> None:
    outbox = Outbox(path, IDENTITY, SMALL)
    fill(outbox, 2)
    old = outbox.active.stream_id
    outbox.close()
    moved = Outbox(path, msgspec.structs.replace(IDENTITY, machine="machine-b"), SMALL)
    assert moved.new_stream == "moved"
    assert moved.active.stream_id != old
    fill(moved, 1)
    assert [(frame.stream_id == old, frame.seq) for frame in moved.pick(9)] == [(False, 1), (True, 1), (True, 2)]
    assert [state.is_active for state in moved.hello_streams()] == [False, True]
    moved.close()


def test_an_outbox_of_another_tenant_is_sealed_and_never_sent(tmp_path: Path) -> None:
    path = outbox_path(tmp_path, "acme", "van-1")
    outbox = Outbox(path, IDENTITY, SMALL)
    fill(outbox, 3)
    outbox.close()
    other = outbox_path(tmp_path, "rival", "van-1")
    path.rename(other)
    rival = Outbox(other, msgspec.structs.replace(IDENTITY, tenant="rival"), SMALL)
    assert rival.pick(9) == []
    assert rival.set_aside is not None
    assert rival.set_aside.name == "outbox.rival.van-1.sealed-1.db"
    assert rival.new_stream == "created"
    rival.close()


def test_cloud_restored_from_backup_gets_its_day_back(outbox: Outbox) -> None:
    fill(outbox, 6)
    stream = outbox.active
    outbox.ack(stream.stream_id, [ack_range(outbox, stream.stream_id, 1, 6)])
    asked = outbox.hello_streams()
    effect = outbox.answer(asked, [StreamAnswer(stream.stream_id, ((1, 2),))], {})
    assert (effect.again, effect.acked, effect.new_stream) == (4, 0, None)
    assert [frame.seq for frame in outbox.pick(9)] == [6, 3, 4, 5]


def test_what_the_restored_cloud_lacks_and_the_device_evicted_is_a_gap(outbox: Outbox) -> None:
    fill(outbox, 8, size_bytes=9000)
    stream = outbox.active
    outbox.ack(stream.stream_id, [ack_range(outbox, stream.stream_id, 1, 8)])
    fill(outbox, 30, size_bytes=9000)
    gone = stream.held.missing(1, 8)
    assert len(gone)
    outbox.answer(outbox.hello_streams(), [], {})
    assert all(
        seq in (n for a, b, _, _ in stream.gap_rows() for n in range(a, b + 1)) for a, b in gone for seq in (a, b)
    )


def test_an_answer_acknowledges_only_what_this_process_has_sent(outbox: Outbox) -> None:
    """The cloud may have the number from another copy of this card; only sending the frame lets it compare."""
    fill(outbox, 4)
    stream = outbox.active
    answer = [StreamAnswer(stream.stream_id, ((1, 4),))]
    assert outbox.answer(outbox.hello_streams(), answer, {stream.stream_id: ((2, 3),)}).acked == 2
    assert sorted(frame.seq for frame in outbox.pick(9)) == [1, 4]


def test_cloud_ahead_starts_a_new_stream(outbox: Outbox) -> None:
    fill(outbox, 2)
    old = outbox.active.stream_id
    effect = outbox.answer(outbox.hello_streams(), [StreamAnswer(old, ((1, 9),))], {})
    assert effect.new_stream == "cloud_ahead"
    assert outbox.active.stream_id != old
    assert outbox.append(frame_maker())[1] == 1
    assert sorted((f.stream_id == old, f.seq) for f in outbox.pick(9)) == [(False, 1), (True, 1), (True, 2)]


def test_what_was_forked_goes_again_under_a_new_number(outbox: Outbox, path: Path) -> None:
    fill(outbox, 3)
    old = outbox.active
    (_, _, crc), body = ack_range(outbox, old.stream_id, 2, 2), outbox.pick(9)[2].body
    effect = outbox.fork(old.stream_id, [(2, crc), (2, crc), (7, crc), (1, crc)])
    assert (effect.forked, effect.new_stream) == ((2,), "forked"), "1 and 7 are not our frames"
    assert outbox.fork(old.stream_id, [(2, crc)]).forked == ()
    assert outbox.fork(b"?" * 16, [(1, crc)]).forked == ()
    new = outbox.active
    assert sorted((frame.stream_id == new.stream_id, frame.seq) for frame in outbox.pick(9)) == [
        (False, 1), (False, 3), (True, 1),
    ]  # fmt: skip
    copy = next(frame.body for frame in outbox.pick(9) if frame.stream_id == new.stream_id)
    assert decode(copy).meta == decode(body).meta
    assert decode(copy).header.boot == decode(body).header.boot
    assert (outbox.totals().forked, outbox.totals().pending) == (1, 3)
    outbox.close()
    again = Outbox(path, IDENTITY, SMALL)
    assert sorted(frame.seq for frame in again.pick(9)) == [1, 1, 3]
    assert again.new_stream is None
    again.close()
    outbox._lock = path.with_name("other.lock").open("wb")
    outbox.__init__(path, IDENTITY, SMALL)


def test_a_fork_for_which_there_is_no_room_stays_pending(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(outbox, 2, has_event=True)
    old = outbox.active
    _, _, crc = ack_range(outbox, old.stream_id, 2, 2)

    def full(*_: object) -> None:
        raise Full("no room")

    monkeypatch.setattr(outbox, "append", full)
    assert outbox.fork(old.stream_id, [(2, crc)]).forked == ()
    assert [frame.seq for frame in outbox.pick(9)] == [1, 2]
    monkeypatch.undo()
    assert outbox.fork(old.stream_id, [(2, crc)]).forked == (2,)


def test_gaps_are_told_until_written_down_and_again_after_a_restore(outbox: Outbox) -> None:
    fill(outbox, 60, size_bytes=9000)
    stream = outbox.active
    gaps = outbox.hello_streams()[0].gaps
    assert gaps
    stored = StreamAnswer(stream.stream_id, gaps=gaps)
    outbox.answer(outbox.hello_streams(), [stored], {})
    assert outbox.hello_streams()[0].gaps == ()
    outbox.answer(outbox.hello_streams(), [StreamAnswer(stream.stream_id)], {})
    assert outbox.hello_streams()[0].gaps == gaps
    half = Gap(gaps[0].first, gaps[0].first, "disk_full")
    outbox.answer(outbox.hello_streams(), [StreamAnswer(stream.stream_id, gaps=(half,))], {})
    assert outbox.hello_streams()[0].gaps[0].first == gaps[0].first + 1


def test_quiet_old_streams_leave_the_hello(path: Path) -> None:
    identity = IDENTITY
    for number in range(14):
        identity = msgspec.structs.replace(identity, machine=f"machine-{number}")
        Outbox(path, identity, SMALL).close()
    outbox = Outbox(path, identity, SMALL)
    assert len(outbox.streams) == 14
    assert len(outbox.hello_streams()) == 9
    assert outbox.hello_streams()[-1].is_active
    outbox.close()
