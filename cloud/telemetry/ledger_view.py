"""The ledger as the store has it: for ingest at start, and for the pages that show it."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from cloud.facts import RangeRow, StreamRow
from cloud.telemetry.store import Cursor
from sync_protocol.ledger import Ranges
from sync_protocol.messages import SeqRange


class LostRange(msgspec.Struct):
    """Frames that the device said it no longer has, and its reason."""

    first: int
    last: int
    reason: str


class StreamLedgerView(msgspec.Struct):
    """One stream. Every seq from 1 to `last_seq` is in exactly one of stored, pending, lost, quarantined."""

    stream_no: int
    stream_id: str
    is_active: bool
    first_seen_us: int
    last_seen_us: int
    last_seq: int
    boots: int
    stored: list[SeqRange]
    pending: list[SeqRange]
    lost: list[LostRange]
    quarantined: list[SeqRange]
    forked: list[int]


class LedgerTotals(msgspec.Struct):
    """Counts of frames."""

    stored: int = 0
    pending: int = 0
    lost: int = 0
    quarantined: int = 0
    is_forked: bool = False


_STREAMS = """
    SELECT stream_no, tenant_id, device_id, stream_id, epoch_us(first_seen), epoch_us(last_seen), is_active FROM streams
"""


def load_ledger(cursor: Cursor) -> tuple[list[StreamRow], list[RangeRow], list[tuple[int, int]]]:
    """All streams, ranges and (stream_no, boot) pairs."""
    streams = [StreamRow(*row) for row in cursor.execute(_STREAMS).fetchall()]
    ranges = cursor.execute("SELECT stream_no, state, first, last, reason FROM ledger_range").fetchall()
    boots = cursor.execute("SELECT stream_no, boot FROM boots").fetchall()
    return streams, [RangeRow(*row) for row in ranges], boots


def device_ledger(cursor: Cursor, tenant_id: int, device_id: int) -> list[StreamLedgerView]:
    """A device's streams, newest first."""
    streams = cursor.execute(
        _STREAMS + " WHERE tenant_id = ? AND device_id = ? ORDER BY stream_no DESC", [tenant_id, device_id]
    ).fetchall()
    if not streams:
        return []
    numbers = [stream_no for stream_no, *_ in streams]
    among = f"stream_no IN ({', '.join('?' for _ in numbers)})"
    ranges = cursor.execute(
        f"SELECT stream_no, state, first, last, reason FROM ledger_range WHERE {among} ORDER BY stream_no, first",  # noqa: S608  # names of the schema; values are bound
        numbers,
    ).fetchall()
    boots = Counter(
        stream_no
        for stream_no, _ in set(cursor.execute(f"SELECT stream_no, boot FROM boots WHERE {among}", numbers).fetchall())  # noqa: S608  # names of the schema; values are bound
    )
    out = []
    for stream_no, _, _, stream_id, first_seen, last_seen, is_active in streams:
        rows = [RangeRow(*row) for row in ranges if row[0] == stream_no]
        stored, pending, quarantined, lost, last_seq = _sorted_out(rows)
        forked = [seq for row in rows if row.state == "forked" for seq in range(row.first, row.last + 1)]
        out.append(
            StreamLedgerView(
                stream_no,
                bytes(stream_id).hex(),
                is_active,
                first_seen,
                last_seen,
                last_seq,
                boots[stream_no],
                stored,
                pending,
                lost,
                quarantined,
                forked,
            )
        )
    return out


def _sorted_out(
    rows: Sequence[RangeRow],
) -> tuple[list[SeqRange], list[SeqRange], list[SeqRange], list[LostRange], int]:
    stored = [(row.first, row.last) for row in rows if row.state == "stored"]
    quarantined = [(row.first, row.last) for row in rows if row.state == "quarantined"]
    lost = [LostRange(row.first, row.last, row.reason or "unknown") for row in rows if row.state == "lost"]
    last_seq = max((row.last for row in rows), default=0)
    pending = Ranges([(1, last_seq)] if last_seq else [])
    for row in rows:
        if row.state in ("stored", "quarantined", "lost"):
            pending.remove(row.first, row.last)
    return stored, list(pending.pairs()), quarantined, lost, last_seq


def totals(cursor: Cursor, tenant_id: int) -> dict[int, LedgerTotals]:
    """Counts of every device of a tenant, by device id."""
    rows = cursor.execute(
        """
        WITH s AS (
            SELECT s.device_id, s.stream_no,
                coalesce(sum(last - first + 1) FILTER (state = 'stored'), 0) AS stored,
                coalesce(sum(last - first + 1) FILTER (state = 'lost'), 0) AS lost,
                coalesce(sum(last - first + 1) FILTER (state = 'quarantined'), 0) AS quarantined,
                coalesce(max(last), 0) AS last_seq,
                count(*) FILTER (state = 'forked') > 0 AS is_forked
            FROM streams s LEFT JOIN ledger_range r ON r.stream_no = s.stream_no WHERE s.tenant_id = ? GROUP BY ALL)
        SELECT device_id, sum(stored), sum(last_seq - stored - lost - quarantined), sum(lost), sum(quarantined),
            bool_or(is_forked) FROM s GROUP BY device_id
        """,
        [tenant_id],
    ).fetchall()
    return {
        device_id: LedgerTotals(int(stored), int(pending), int(lost), int(quarantined), is_forked)
        for device_id, stored, pending, lost, quarantined, is_forked in rows
    }


def sample_count(cursor: Cursor, tenant_id: int) -> int:
    """Samples in all stored frames of a tenant."""
    row = cursor.execute("SELECT coalesce(sum(samples), 0) FROM frames WHERE tenant_id = ?", [tenant_id]).fetchone()
    return int(row[0]) if row is not None else 0


class AlertView(msgspec.Struct):
    """A limit that a device ran into."""

    kind: str
    detail: str
    opened_us: int
    last_seen_us: int
    times: int


class PlacedBoot(msgspec.Struct):
    """A boot whose UTC nobody ever told, put between its neighbours: right to `uncertainty_ms` either way."""

    stream_id: str
    boot: int
    from_ms: int
    to_ms: int
    uncertainty_ms: int


def placed_boots(cursor: Cursor, tenant_id: int, device_id: int) -> list[PlacedBoot]:
    """The placed boots of a device, latest first."""
    rows = cursor.execute(
        """
        SELECT s.stream_id, a.boot, a.utc_ms, a.utc_ms + max(f.last_ms) - a.boot_ms, a.uncertainty_ms
        FROM anchors a JOIN streams s ON s.stream_no = a.stream_no
        JOIN frames f ON f.stream_no = a.stream_no AND f.boot = a.boot
        ANTI JOIN anchors b ON b.stream_no = a.stream_no AND b.boot = a.boot AND b.source <> 'placed'
        WHERE s.tenant_id = ? AND s.device_id = ? AND a.source = 'placed'
        GROUP BY s.stream_id, a.boot, a.boot_ms, a.utc_ms, a.uncertainty_ms ORDER BY a.utc_ms DESC
        """,
        [tenant_id, device_id],
    ).fetchall()
    return [PlacedBoot(bytes(stream_id).hex(), *rest) for stream_id, *rest in rows]


def alerts(cursor: Cursor, tenant_id: int, device_id: int) -> list[AlertView]:
    """The limits that a device ran into, latest first."""
    rows = cursor.execute(
        "SELECT kind, detail, epoch_us(opened), epoch_us(last_seen), times FROM alerts"
        " WHERE tenant_id = ? AND device_id = ? ORDER BY last_seen DESC",
        [tenant_id, device_id],
    ).fetchall()
    return [AlertView(*row) for row in rows]
