"""Opens an outbox file: one process at a time, whole or salvaged, of this device and no other."""

from collections.abc import Mapping
import fcntl
from pathlib import Path
import sqlite3
from typing import IO, Any, Literal

import msgspec

from edge.outbox.room import Room, create
from edge.outbox.salvage import Salvage, salvage
from edge.outbox.schema import connect, frame_id, is_sound, migrate
from edge.outbox.streams import Stream
from sync_protocol.errors import Conflict
from sync_protocol.header import read_header
from sync_protocol.ledger import Ranges

EndReason = Literal["first_start", "shutdown", "updating", "killed", "power"]


class Identity(msgspec.Struct, frozen=True):
    """Whose outbox this is, and on which machine and in which of its boots it is opened."""

    tenant: str
    device: str
    machine: str
    kernel_boot: str


class PreviousEnd(msgspec.Struct, frozen=True):
    """How the run before this one ended. `boot` and `last_boot_ms` are those of its last committed frame."""

    reason: EndReason
    boot: int
    last_boot_ms: int


class Opened(msgspec.Struct):
    """An outbox file that may be worked with. `new_stream` is why the next frame starts a new stream, if it does."""

    db: sqlite3.Connection
    streams: list[Stream]
    boot: int
    previous: PreviousEnd
    new_stream: str | None
    set_aside: Path | None


def outbox_path(folder: Path, tenant: str, device: str) -> Path:
    """Each enrolment has its own file, so that what was measured for one tenant can never be sent to another."""
    return folder / f"outbox.{tenant}.{device}.db"


def lock(path: Path) -> IO[bytes]:
    """Take the outbox for this process; `Conflict` when another one has it. Held until the file is closed."""
    file = path.with_name(path.name + ".lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        file.close()
        raise Conflict(f"{path}: another agent is running with this outbox") from err
    return file


def open_file(path: Path, identity: Identity, room: Room) -> Opened:
    """Open or make the file; set aside a damaged one (after salvage) and one of another tenant or device."""
    set_aside: Path | None = None
    saved: Salvage | None = None
    if path.exists():
        cause = _unfit(path, identity)
        if cause == "damaged":
            saved = salvage(path)
            if not _is_owner(saved.kv, identity):
                cause, saved = "sealed", None
        if cause is not None:
            set_aside = _put_aside(path, cause)
    is_new = not path.exists()
    if is_new:
        create(path, room)
    db = connect(path)
    migrate(db)
    db.execute(f"pragma max_page_count = {room.pages + 16}")
    if saved is not None:
        _restore(db, saved, room)
    return _resume(db, identity, "created" if is_new and saved is None else "salvaged" if saved else None, set_aside)


def _unfit(path: Path, identity: Identity) -> Literal["damaged", "sealed"] | None:
    try:
        db = connect(path)
    except sqlite3.DatabaseError:
        return "damaged"
    try:
        if not is_sound(db):
            return "damaged"
        kv = dict(db.execute("select key, value from kv where key in ('tenant', 'device')").fetchall())
    except sqlite3.DatabaseError:
        return "damaged"
    finally:
        db.close()
    return None if _is_owner(kv, identity) else "sealed"


def _is_owner(kv: Mapping[str, object], identity: Identity) -> bool:
    owner = (kv.get("tenant", identity.tenant), kv.get("device", identity.device))
    return owner == (identity.tenant, identity.device)


def _put_aside(path: Path, cause: str) -> Path:
    number = 1
    while (target := path.with_name(f"{path.stem}.{cause}-{number}{path.suffix}")).exists():
        number += 1
    path.rename(target)
    for end in ("-wal", "-shm"):
        extra = Path(f"{path}{end}")
        if extra.exists():
            extra.rename(f"{target}{end}")
    return target


def _restore(db: sqlite3.Connection, saved: Salvage, room: Room) -> None:
    """Put what was saved into the new file, the newest frames first; what is missing becomes a gap."""
    streams: dict[bytes, Stream] = {}
    db.execute("begin immediate")
    for no, row in enumerate(saved.streams, 1):
        stream = Stream(no, row.stream_id, is_active=False, cause="salvaged", boot=0)
        stream.last_seq = row.last_seq
        try:
            stream.load_fields(row.acked or b"\x90", row.forked or b"\x90")
        except (msgspec.DecodeError, ValueError, TypeError):
            stream.acked, stream.forked = Ranges(), Ranges()
        streams[row.stream_id] = stream
    budget = room.size_bytes * 3 // 4
    for (stream_id, seq), body in sorted(saved.frames.items(), key=lambda item: (streams[item[0][0]].no, item[0][1]))[
        ::-1
    ]:
        stream = streams[stream_id]
        budget -= len(body) + 64
        if budget < 0 or seq in stream.acked:
            continue
        events = read_header(body).events
        stream.add(seq, has_events=bool(events))
        db.execute("insert into frames values (?, ?, ?)", [frame_id(stream.no, seq), events, body])
    for stream_id, first, last, reason in saved.gaps:
        if stream_id in streams and 1 <= first <= last:
            for a, b in streams[stream_id].held.missing(first, last):
                streams[stream_id].lose(a, b, reason)  # type: ignore[arg-type]  # written from a GapReason
    for stream in streams.values():
        known = Ranges([*stream.held, *stream.acked, *((a, b) for a, b, _, _ in stream.gap_rows())])
        for first, last in known.missing(1, stream.last_seq):
            stream.lose(first, last, "damaged")
        insert_stream(db, stream)
        write_gaps(db, stream)
    for key, value in saved.kv.items():
        if isinstance(key, str) and key not in ("tenant", "device"):
            db.execute("insert or replace into kv values (?, ?)", [key, value])
    db.execute("commit")


def insert_stream(db: sqlite3.Connection, stream: Stream) -> None:
    """Write a stream's row for the first time."""
    db.execute(
        "insert into streams (no, stream_id, is_active, cause, boot, last_seq, last_ms, acked, forked)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            stream.no,
            stream.stream_id,
            stream.is_active,
            stream.cause,
            stream.boot,
            stream.last_seq,
            stream.last_ms,
            *stream.stored_fields(),
        ],
    )


def write_gaps(db: sqlite3.Connection, stream: Stream) -> None:
    """Replace a stream's gap rows."""
    db.execute("delete from gaps where stream_no = ?", [stream.no])
    db.executemany("insert into gaps values (?, ?, ?, ?, ?)", [(stream.no, *row) for row in stream.gap_rows()])


def load_streams(db: sqlite3.Connection) -> list[Stream]:
    """All streams of the file with everything that is known of them, oldest first."""
    by_no: dict[int, Stream] = {}
    for no, stream_id, is_active, cause, boot, last_seq, last_ms, acked, forked in db.execute(
        "select no, stream_id, is_active, cause, boot, last_seq, last_ms, acked, forked from streams order by no"
    ):
        stream = by_no[no] = Stream(no, stream_id, is_active=bool(is_active), cause=cause, boot=boot)
        stream.last_seq, stream.last_ms = last_seq, last_ms
        stream.load_fields(acked, forked)
    for no, first, last, reason, is_told in db.execute("select stream_no, first, last, reason, is_told from gaps"):
        by_no[no].gaps.setdefault((reason, bool(is_told)), Ranges()).add(first, last)
    for row_id, events in db.execute("select id, events from frames order by id"):
        by_no[row_id >> 32].add(row_id & 0xFFFFFFFF, has_events=bool(events))
    return list(by_no.values())


def _resume(db: sqlite3.Connection, identity: Identity, new_stream: str | None, set_aside: Path | None) -> Opened:
    kv: dict[str, Any] = dict(db.execute("select key, value from kv").fetchall())
    streams = load_streams(db)
    boot = int(kv.get("boot", 0))
    last = next((stream for stream in reversed(streams) if stream.last_seq), None)
    reason: EndReason
    if "kernel_boot" not in kv:
        reason = "first_start"
    elif kv.get("ended"):
        reason = kv["ended"]
    else:
        reason = "killed" if kv["kernel_boot"] == identity.kernel_boot else "power"
    previous = PreviousEnd(reason, last.boot if last else boot, last.last_ms if last else 0)
    if kv.get("kernel_boot") != identity.kernel_boot or kv.get("machine") != identity.machine:
        boot += 1
    if new_stream is None and kv.get("machine") != identity.machine:
        new_stream = "moved"
    if new_stream is None and not any(stream.is_active for stream in streams):
        new_stream = "created"
    db.execute("begin immediate")
    fresh = {
        "tenant": identity.tenant,
        "device": identity.device,
        "machine": identity.machine,
        "kernel_boot": identity.kernel_boot,
        "boot": boot,
        "ended": None,
    }
    db.executemany("insert or replace into kv values (?, ?)", list(fresh.items()))
    db.execute("commit")
    return Opened(db, streams, boot, previous, new_stream, set_aside)
