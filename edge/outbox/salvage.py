"""Gets frames out of a damaged outbox file. Frames carry their identity and checksums, so they prove themselves."""

from collections.abc import Iterator, Mapping
from pathlib import Path
import sqlite3
from typing import Any, get_args
from zlib import crc32

import msgspec

from edge.outbox.schema import stream_seq
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import HEADER_BYTES, MAGIC, MAX_BODY_BYTES, Header, read_header
from sync_protocol.messages import GapReason

MAX_SEQ = 0xFFFFFFFF


class SavedStream(msgspec.Struct):
    """What could still be read of a stream's row."""

    stream_id: bytes
    last_seq: int
    acked: object = None
    forked: object = None


class Salvage(msgspec.Struct):
    """What could be saved: rows of `kv`, streams in their order, gaps by stream, and frames by (stream_id, seq)."""

    kv: dict[str, object] = {}
    streams: list[SavedStream] = []
    gaps: list[tuple[bytes, int, int, GapReason]] = []
    frames: dict[tuple[bytes, int], bytes] = {}


def salvage(path: Path, log: bytes) -> Salvage:
    """Read what SQLite can still read, row by row, then search the raw bytes of the file and of its `log` for frames.

    The second finds frames that no page leads to any more, among them some that were evicted long ago: sending one of
    those again costs its bytes and changes nothing.
    """
    saved = Salvage()
    file = path.read_bytes()
    _by_sql(path, saved)
    for raw in (file, log):
        for stream_id, seq, frame in frames_in(raw):
            saved.frames.setdefault((stream_id, seq), frame)
    known = {stream.stream_id: stream for stream in saved.streams}
    highest: dict[bytes, int] = {}
    for stream_id, seq in saved.frames:
        if stream_id not in known:
            known[stream_id] = SavedStream(stream_id, 0)
            saved.streams.append(known[stream_id])
        highest[stream_id] = max(highest.get(stream_id, 0), seq)
    for stream in saved.streams:
        # A damaged counter may say anything; the file never held more frames than their heads find room in it.
        newest = highest.get(stream.stream_id, 0)
        most = newest + len(file) // HEADER_BYTES if newest else MAX_SEQ
        stream.last_seq = max(newest, min(stream.last_seq, most))
    return saved


def _by_sql(path: Path, saved: Salvage) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    numbers: dict[int, bytes] = {}
    try:
        for row in _rows(db, "select no, stream_id, last_seq, acked, forked from streams order by no"):
            no, stream_id, last_seq, acked, forked = row
            is_news = stream_id not in numbers.values()
            if isinstance(stream_id, bytes) and len(stream_id) == 16 and isinstance(last_seq, int) and is_news:
                numbers[no] = stream_id
                saved.streams.append(SavedStream(stream_id, max(0, last_seq), acked, forked))
        saved.kv.update(_rows(db, "select key, value from kv"))
        for no, first, last, reason in _rows(db, "select stream_no, first, last, reason from gaps"):
            if no in numbers and isinstance(first, int) and isinstance(last, int) and reason in get_args(GapReason):
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


def frames_in(raw: bytes, newer_than: Mapping[bytes, int] | None = None) -> Iterator[tuple[bytes, int, bytes]]:
    """Whole frames anywhere in bytes, each once: (stream_id, seq, frame). With `newer_than`, only numbers above those.

    A frame that SQLite has spread over several pages is not found.
    """
    seen: set[tuple[bytes, int]] = set()
    at = raw.find(MAGIC)
    while at >= 0:
        try:
            header = read_header(raw[at : at + HEADER_BYTES])
        except (Rejected, Unavailable):
            header = None
        if header is not None and (key := (header.stream_id, header.seq)) not in seen:
            is_wanted = newer_than is None or header.seq > newer_than.get(header.stream_id, MAX_SEQ)
            frame = _frame_at(raw, at, header) if is_wanted else None
            if frame is not None:
                seen.add(key)
                yield *key, frame
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
