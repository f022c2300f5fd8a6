"""Gets frames out of a damaged outbox file. Frames carry their identity and checksums, so they prove themselves."""

from pathlib import Path
import sqlite3
from typing import Any
from zlib import crc32

import msgspec

from edge.outbox.schema import stream_seq
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import HEADER_BYTES, MAGIC, MAX_BODY_BYTES, Header, read_header


class SavedStream(msgspec.Struct):
    """What could still be read of a stream's row."""

    stream_id: bytes
    last_seq: int
    acked: bytes | None = None
    forked: bytes | None = None


class Salvage(msgspec.Struct):
    """What could be saved: rows of `kv`, streams in their order, gaps by stream, and frames by (stream_id, seq)."""

    kv: dict[str, object] = {}
    streams: list[SavedStream] = []
    gaps: list[tuple[bytes, int, int, str]] = []
    frames: dict[tuple[bytes, int], bytes] = {}


def salvage(path: Path) -> Salvage:
    """Read what SQLite can still read, row by row, then search the raw bytes of file and log for frames.

    The second finds frames that no page leads to any more, among them some that were evicted long ago: sending one of
    those again costs its bytes and changes nothing.
    """
    saved = Salvage()
    _by_sql(path, saved)
    for raw in (path, Path(f"{path}-wal")):
        if raw.exists():
            _by_magic(raw.read_bytes(), saved)
    known = {stream.stream_id: stream for stream in saved.streams}
    for stream_id, seq in saved.frames:
        if stream_id not in known:
            known[stream_id] = SavedStream(stream_id, 0)
            saved.streams.append(known[stream_id])
        known[stream_id].last_seq = max(known[stream_id].last_seq, seq)
    return saved


def _by_sql(path: Path, saved: Salvage) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    numbers: dict[int, bytes] = {}
    try:
        for no, stream_id, last_seq, acked, forked in _rows(
            db, "select no, stream_id, last_seq, acked, forked from streams order by no"
        ):
            if isinstance(stream_id, bytes) and len(stream_id) == 16:
                numbers[no] = stream_id
                saved.streams.append(SavedStream(stream_id, last_seq, acked, forked))
        saved.kv.update(_rows(db, "select key, value from kv"))
        for no, first, last, reason in _rows(db, "select stream_no, first, last, reason from gaps"):
            if no in numbers:
                saved.gaps.append((numbers[no], first, last, reason))
        for row_id, body in _rows(db, "select id, body from frames order by id"):
            no, seq = stream_seq(row_id)
            if isinstance(body, bytes) and no in numbers and is_whole(body, numbers[no], seq):
                saved.frames[numbers[no], seq] = body
    finally:
        db.close()


def _rows(db: sqlite3.Connection, query: str) -> list[Any]:
    rows: list[Any] = []
    try:
        for row in db.execute(query):
            rows.append(row)  # noqa: PERF402  what was read before the error counts
    except sqlite3.DatabaseError:
        pass
    return rows


def is_whole(frame: bytes, stream_id: bytes, seq: int) -> bool:
    """Whether the bytes are this very frame, undamaged."""
    try:
        header = read_header(frame)
    except (Rejected, Unavailable):
        return False
    return (header.stream_id, header.seq) == (stream_id, seq) and crc32(frame[HEADER_BYTES:]) == header.body_crc


def _by_magic(raw: bytes, saved: Salvage) -> None:
    at = raw.find(MAGIC)
    while at >= 0:
        try:
            header = read_header(raw[at : at + HEADER_BYTES])
        except (Rejected, Unavailable):
            header = None
        if header is not None and (header.stream_id, header.seq) not in saved.frames:
            frame = _frame_at(raw, at, header)
            if frame is not None:
                saved.frames[header.stream_id, header.seq] = frame
        at = raw.find(MAGIC, at + 1)


def _frame_at(raw: bytes, at: int, header: Header) -> bytes | None:
    """The frame that starts here. Its length as sent is in no header, so the checksum has to find its end."""
    start = at + HEADER_BYTES
    crc = 0
    for end in range(start, min(start + min(header.body_bytes, MAX_BODY_BYTES), len(raw)) + 1):
        if crc == header.body_crc and end > start:
            return raw[at:end]
        if end < len(raw):
            crc = crc32(raw[end : end + 1], crc)
    return None
