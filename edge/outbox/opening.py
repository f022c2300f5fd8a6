"""Opens an outbox file: one process at a time, whole or salvaged, of this device and no other."""

from collections.abc import Mapping
import fcntl
from pathlib import Path
import sqlite3
from typing import IO, Any, Literal

import msgspec
import structlog

from edge.outbox.room import Room, create
from edge.outbox.salvage import Salvage, salvage
from edge.outbox.schema import connect, frame_id, is_sound, migrate
from edge.outbox.soundness import is_intact
from edge.outbox.streams import Stream, decode_pairs
from sync_protocol.errors import Conflict
from sync_protocol.header import read_header
from sync_protocol.ledger import Ranges

EndReason = Literal["first_start", "shutdown", "updating", "killed", "power"]

_MOST_BOOTS = 1 << 31

log = structlog.get_logger()


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
    new_stream: str | None = None
    mended = path.with_name(path.name + ".mended")
    if path.exists():
        # Opening a database folds its log in and drops the damaged part of it: whatever may be in there is read first.
        log_path = Path(f"{path}-wal")
        wal = log_path.read_bytes() if log_path.exists() else b""
        cause = _unfit(path, identity, wal)
        if cause == "damaged":
            saved = salvage(path, wal)
            if _is_owner(saved.kv, identity):
                _mend(mended, saved, room)
            else:
                cause = "sealed"
        if cause is not None:
            set_aside = _put_aside(path, cause)
    if not path.exists() and mended.exists():  # also when the power went between the two renamings
        mended.rename(path)
        new_stream = "salvaged"
    elif not path.exists():
        create(path, room)
        new_stream = "created"
    mended.unlink(missing_ok=True)
    db = connect(path)
    migrate(db)
    db.execute(f"pragma max_page_count = {room.pages + 16}")
    return _resume(db, identity, new_stream, set_aside)


def _unfit(path: Path, identity: Identity, wal: bytes) -> Literal["damaged", "sealed"] | None:
    try:
        db = connect(path)
    except sqlite3.DatabaseError:
        return "damaged"
    try:
        kv = dict(db.execute("select key, value from kv where key in ('tenant', 'device')").fetchall())
        if not _is_owner(kv, identity) and is_sound(db):
            return "sealed"
        return None if is_intact(db, wal) else "damaged"
    except sqlite3.DatabaseError:
        return "damaged"
    finally:
        db.close()


def _mend(path: Path, saved: Salvage, room: Room) -> None:
    """Make a new file of what was saved. It gets this name only when it is complete and on the disk."""
    fresh = path.with_name(path.name + ".making")
    fresh.unlink(missing_ok=True)
    create(fresh, room)
    db = connect(fresh)
    _restore(db, saved, room)
    db.execute("pragma wal_checkpoint(truncate)")
    db.close()
    fresh.rename(path)


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
        stream.acked, stream.forked = (_believable(field, row.last_seq) for field in (row.acked, row.forked))
        streams[row.stream_id] = stream
    budget = room.size_bytes * 3 // 4
    newest_first = sorted(
        saved.frames.items(),
        key=lambda item: (item[0][1] not in streams[item[0][0]].acked, streams[item[0][0]].no, item[0][1]),
    )[::-1]
    for (stream_id, seq), body in newest_first:
        # Acknowledged ones come back too, as far as there is room: the record of what is acknowledged may be damaged.
        stream = streams[stream_id]
        budget -= len(body) + 64
        if budget < 0:
            continue
        header = read_header(body)
        stream.add(seq, has_events=header.events > 0)
        if header.boot >= stream.boot:
            stream.boot, stream.last_ms = header.boot, max(stream.last_ms, header.last_ms)
        db.execute("insert into frames values (?, ?, ?)", [frame_id(stream.no, seq), header.events, body])
    for stream_id, first, last, reason in saved.gaps:
        if stream_id in streams and 1 <= first <= last <= streams[stream_id].last_seq:
            for a, b in streams[stream_id].held.missing(first, last):
                streams[stream_id].lose(a, b, reason)
    lost = 0
    for stream in streams.values():
        known = Ranges([*stream.held, *stream.acked, *((a, b) for a, b, _, _ in stream.gap_rows())])
        for first, last in known.missing(1, stream.last_seq) if stream.last_seq else ():
            stream.lose(first, last, "damaged")
            lost += last - first + 1
        insert_stream(db, stream)
        write_gaps(db, stream)
    for key, value in saved.kv.items():
        is_ours = isinstance(value, int) and key != "boot"
        if isinstance(key, str) and (is_ours or key == "kernel_boot"):
            db.execute("insert or replace into kv values (?, ?)", [key, value])
    # One boot number may not serve two boots: it is at least that of every frame, and the next start makes it one more.
    boots = [saved.kv.get("boot"), *(stream.boot for stream in streams.values())]
    boot = max((boot for boot in boots if isinstance(boot, int) and 0 <= boot < _MOST_BOOTS), default=0)
    db.execute("insert or replace into kv values ('boot', ?)", [boot])
    db.execute("commit")
    kept = sum(stream.held.count() for stream in streams.values())
    log.warning("outbox_salvaged", kept_frames=kept, damaged_frames=lost, streams=len(streams))


def _believable(field: object, last_seq: int) -> Ranges:
    """Sequence ranges as a stream's row keeps them; none where they cannot be what was once written."""
    try:
        pairs = decode_pairs(field) if isinstance(field, bytes) else ()
        return Ranges((first, last) for first, last in pairs if 1 <= first <= last <= last_seq)
    except msgspec.DecodeError:
        return Ranges()


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
    elif kv.get("ended") in ("shutdown", "updating"):
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
