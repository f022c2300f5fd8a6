"""Whether an outbox file says what was once written to it: not only SQLite's structure, every frame and every number.

SQLite keeps no checksum of its pages. A bit that flips inside a value passes its own check, and would be sent.
"""

import sqlite3
from typing import Annotated, Literal

import msgspec

from edge.outbox.salvage import frames_in, is_whole
from edge.outbox.schema import is_sound, stream_seq
from sync_protocol.ledger import Ranges
from sync_protocol.messages import GapReason, SeqRange

Seq = Annotated[int, msgspec.Meta(ge=1, le=0xFFFFFFFF)]
Count = Annotated[int, msgspec.Meta(ge=0)]
_Stream = tuple[Seq, Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)], Count, Count, bytes, bytes]
_Gap = tuple[Seq, Seq, Seq, GapReason, Literal[0, 1]]
_Kept = tuple[str, str | int | None]

_streams = msgspec.msgpack.Decoder(list[_Stream])
_gaps = msgspec.msgpack.Decoder(list[_Gap])
_kept = msgspec.msgpack.Decoder(list[_Kept])
_pairs = msgspec.msgpack.Decoder(tuple[SeqRange, ...])
_encode = msgspec.msgpack.Encoder().encode


def is_intact(db: sqlite3.Connection, log: bytes) -> bool:
    """Whether structure, frames and numbers are whole. `log` is the write-ahead log as it was before `db` was opened.

    Reads the whole file once: 64 MB take a tenth of a second of CPU, and as long as the card needs to give them.
    """
    try:
        return is_sound(db) and _is_consistent(db, log)
    except (sqlite3.DatabaseError, msgspec.DecodeError, UnicodeEncodeError, OverflowError):
        return False


def _is_consistent(db: sqlite3.Connection, log: bytes) -> bool:
    kept = dict(_kept.decode(_encode(db.execute("select key, value from kv").fetchall())))
    boot = kept.get("boot", 0)
    query = "select no, stream_id, boot, last_seq, acked, forked from streams order by no"
    streams = {row[0]: row for row in _streams.decode(_encode(db.execute(query).fetchall()))}
    if not isinstance(boot, int) or any(row[2] > boot for row in streams.values()):
        return False
    accounted = {no: Ranges() for no in streams}
    for no, row in streams.items():
        for field in row[4:]:
            if not _file(accounted[no], _pairs.decode(field), row[3]):
                return False
    query = "select stream_no, first, last, reason, is_told from gaps"
    for no, first, last, _, _ in _gaps.decode(_encode(db.execute(query).fetchall())):
        if no not in streams or not _file(accounted[no], [(first, last)], streams[no][3]):
            return False
    for row_id, body in db.execute("select id, body from frames order by id"):
        no, seq = stream_seq(row_id)
        if no not in streams or not isinstance(body, bytes) or not is_whole(body, streams[no][1], seq):
            return False
        if not _file(accounted[no], [(seq, seq)], streams[no][3]):
            return False
    if any(len(accounted[no].missing(1, row[3])) for no, row in streams.items() if row[3]):
        return False
    # SQLite drops the log from the first damaged page on, commits and all: their numbers would be given away twice.
    newest = {row[1]: row[3] for row in streams.values()}
    return all(seq <= newest.get(stream_id, 0) for stream_id, seq, _ in frames_in(log, newest))


def _file(accounted: Ranges, pairs: "list[SeqRange] | tuple[SeqRange, ...]", last_seq: int) -> bool:
    for first, last in pairs:
        if not 1 <= first <= last <= last_seq:
            return False
        accounted.add(first, last)
    return True
