"""A damaged file: what is readable comes back, the rest is said to be damaged, the file is set aside."""

from pathlib import Path
import sqlite3

import msgspec

from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room
from edge.outbox.salvage import is_whole
from tests.support.edge_fakes import IDENTITY, ack_range, frame_maker

ROOM = Room(size_bytes=64 * 4096, ballast_bytes=0)


def prepared(folder: Path, count: int = 40) -> tuple[Path, bytes, dict[int, bytes]]:
    path = outbox_path(folder, "acme", "van-1")
    outbox = Outbox(path, IDENTITY, ROOM)
    for _ in range(count):
        outbox.append(frame_maker(900), {"odometer_raw": 77})
    outbox.ack(outbox.active.stream_id, [ack_range(outbox, outbox.active.stream_id, 1, 5)])
    frames = {frame.seq: frame.body for frame in outbox.pick(count)}
    stream_id = outbox.active.stream_id
    outbox.close()
    return path, stream_id, frames


def test_damaged_pages_cost_only_their_own_frames(tmp_path: Path) -> None:
    path, old, frames = prepared(tmp_path)
    raw = bytearray(path.read_bytes())
    victim = frames[20]
    at = raw.find(victim)
    assert at > 0
    page = at // 4096 * 4096
    raw[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(raw)

    outbox = Outbox(path, IDENTITY, ROOM)
    assert outbox.new_stream == "salvaged"
    assert outbox.set_aside is not None
    assert "damaged-1" in outbox.set_aside.name
    assert outbox.set_aside.exists()
    stream = outbox.streams[0]
    assert (stream.stream_id, stream.is_active, stream.last_seq) == (old, False, 40)
    damaged = [(a, b, reason) for a, b, reason, _ in stream.gap_rows()]
    assert damaged
    assert all(reason == "damaged" for _, _, reason in damaged)
    lost = {seq for a, b, _ in damaged for seq in range(a, b + 1)}
    assert 20 in lost
    assert len(lost) <= 5
    back = {frame.seq: frame.body for frame in outbox.pick(99)}
    assert back == {seq: body for seq, body in frames.items() if seq not in lost}
    assert outbox.kept("odometer_raw") == 77
    assert outbox.append(frame_maker())[1] == 1
    outbox.close()


def test_frames_come_back_even_when_no_table_can_be_read(tmp_path: Path) -> None:
    path, old, frames = prepared(tmp_path)
    raw = bytearray(path.read_bytes())
    raw[:4096] = b"\0" * 4096
    path.write_bytes(raw)
    outbox = Outbox(path, IDENTITY, ROOM)
    stream = outbox.streams[0]
    assert stream.stream_id == old
    back = {frame.seq: frame.body for frame in outbox.pick(99)}
    assert {seq: back[seq] for seq in frames} == frames
    assert stream.gap_rows() == []
    outbox.close()


def test_a_damaged_outbox_of_another_tenant_gives_nothing_back(tmp_path: Path) -> None:
    path, _, frames = prepared(tmp_path)
    raw = bytearray(path.read_bytes())
    at = raw.find(frames[20]) // 4096 * 4096
    raw[at : at + 4096] = b"\xff" * 4096
    other = outbox_path(tmp_path, "rival", "van-1")
    other.write_bytes(raw)
    outbox = Outbox(other, msgspec.structs.replace(IDENTITY, tenant="rival"), ROOM)
    assert outbox.pick(9) == []
    assert [stream.is_active for stream in outbox.streams] == [True]
    assert outbox.set_aside is not None
    assert "sealed" in outbox.set_aside.name
    outbox.close()


def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path) -> None:
    path = outbox_path(tmp_path, "acme", "van-1")
    path.write_bytes(b"not a database" * 1000)
    outbox = Outbox(path, IDENTITY, ROOM)
    assert outbox.new_stream == "salvaged"
    assert outbox.append(frame_maker())[1] == 1
    outbox.close()


def test_gaps_survive_and_frames_that_were_altered_do_not(tmp_path: Path) -> None:
    path = outbox_path(tmp_path, "acme", "van-1")
    outbox = Outbox(path, IDENTITY, ROOM)
    for _ in range(60):
        outbox.append(frame_maker(6000))
    gaps = outbox.active.gap_rows()
    assert gaps
    stream_id = outbox.active.stream_id
    newest = outbox.pick(1)[0]
    outbox.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("update frames set body = ? where id = (select max(id) from frames)", [newest.body[:-1] + b"!"])
    db.execute("update streams set acked = x'ff'")
    db.execute("pragma wal_checkpoint(truncate)")
    db.execute("pragma writable_schema = 1")
    db.execute("update sqlite_master set sql = 'create table kv (' where name = 'kv'")
    db.close()
    again = Outbox(path, IDENTITY, ROOM)
    assert again.new_stream == "salvaged"
    again.close()
    assert is_whole(newest.body, stream_id, newest.seq)
    assert not is_whole(newest.body[:-1] + b"!", stream_id, newest.seq)
    assert not is_whole(b"short", stream_id, 1)


def test_power_that_goes_between_setting_aside_and_moving_in_loses_no_saved_frame(tmp_path: Path) -> None:
    path, old, frames = prepared(tmp_path)
    path.rename(path.with_name(path.name + ".mended"))  # complete and synced, when it has this name
    outbox = Outbox(path, IDENTITY, ROOM)
    assert outbox.new_stream == "salvaged"
    assert {f.seq: f.body for f in outbox.pick(99) if f.stream_id == old} == frames
    outbox.close()


def test_power_that_goes_before_setting_aside_salvages_again(tmp_path: Path) -> None:
    path, old, frames = prepared(tmp_path)
    path.with_name(path.name + ".mended").write_bytes(b"of an earlier try")
    outbox = Outbox(path, IDENTITY, ROOM)
    assert outbox.new_stream is None
    assert {f.seq: f.body for f in outbox.pick(99) if f.stream_id == old} == frames
    assert not path.with_name(path.name + ".mended").exists()
    outbox.close()
