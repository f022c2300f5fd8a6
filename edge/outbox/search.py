"""Finds held frames by UTC, through what is known of each boot's device time. Acknowledged frames are found too."""

from collections.abc import Mapping
import sqlite3

import msgspec

from edge.outbox.schema import stream_seq
from edge.outbox.streams import Stream
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import HEADER_BYTES, read_header

OFFSET_KEY = "utc_offset_ms."
"""Before the number of a boot: UTC less device time, by the best clock of that boot, as it was at its last commit."""


class FoundFrame(msgspec.Struct, frozen=True):
    """A held frame and the UTC between which it was measured, both included."""

    stream_id: bytes
    seq: int
    first_utc_ms: int
    last_utc_ms: int
    size_bytes: int


class Page(msgspec.Struct):
    """One page of a search. `undated` are frames of boots without a clock; `next_id` None: there is no more."""

    found: list[FoundFrame]
    undated: int
    next_id: int | None


def offsets(db: sqlite3.Connection) -> dict[int, int]:
    """UTC less device time in ms, by boot."""
    rows = db.execute("select key, value from kv where key glob ?", [OFFSET_KEY + "*"])
    return {int(key.removeprefix(OFFSET_KEY)): int(value) for key, value in rows}


def search(
    db: sqlite3.Connection,
    streams: Mapping[int, Stream],
    by_boot: Mapping[int, int],
    from_utc_ms: int,
    to_utc_ms: int,
    after_id: int,
    most_rows: int,
) -> Page:
    """Look at the next `most_rows` frames behind `after_id` for those that touch `from_utc_ms`..`to_utc_ms`."""
    rows = db.execute(
        "select id, substr(body, 1, ?), length(body) from frames where id > ? order by id limit ?",
        [HEADER_BYTES, after_id, most_rows],
    ).fetchall()
    page = Page([], 0, rows[-1][0] if len(rows) == most_rows else None)
    for row_id, head, size_bytes in rows:
        no, seq = stream_seq(row_id)
        try:
            header = read_header(head)
        except (Rejected, Unavailable):
            continue
        offset_ms = by_boot.get(header.boot)
        if offset_ms is None:
            page.undated += 1
            continue
        first_ms, last_ms = header.first_ms + offset_ms, header.last_ms + offset_ms
        if first_ms >= to_utc_ms or last_ms < from_utc_ms:
            continue
        stream = streams[no]
        if seq not in stream.forked:  # their content was committed again under other numbers
            page.found.append(FoundFrame(stream.stream_id, seq, first_ms, last_ms, size_bytes))
    return page
