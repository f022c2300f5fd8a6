"""`tel_1m` and `tel_1h`: smallest, largest and last value of each signal, replaced whole for a dirty bucket.

A minute is dirty from the commit that put a row in it until `build` has made it again; `history` reads dirty minutes
from `tel`, so a page never sees a stale bucket.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
import time

import structlog

from cloud.telemetry.schema import columns_of, tier_columns
from cloud.telemetry.sorting import sort_next
from cloud.telemetry.store import Cursor, TelemetryStore
from sync_protocol.signals import Signal, catalogue

log = structlog.get_logger()

_BUCKETS_A_TURN = 3_000
_EVERY_S = 30.0
# A second each: what a fleet brings in that time is sorted in far fewer, and commits get their turns in between.
_SORTS = 8
_SETTLED = timedelta(seconds=90)


def build(cursor: Cursor, limit: int = _BUCKETS_A_TURN, *, before: datetime | None = None) -> int:
    """Make up to `limit` dirty minutes again, oldest first, and the hours they lie in. Returns how many minutes.

    Minutes that begin at `before` (naive UTC; a minute and a half ago by default) or later are still filling and wait.
    """
    if before is None:
        before = datetime.now(UTC).replace(tzinfo=None) - _SETTLED
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE turn AS SELECT DISTINCT tenant_id, vehicle_id, bucket FROM dirty"
        " WHERE bucket < ? ORDER BY bucket LIMIT ?",
        [before, limit],
    )
    bounds = cursor.execute("SELECT count(*), min(bucket), max(bucket) + INTERVAL 1 MINUTE FROM turn").fetchone()
    assert bounds is not None
    count, first, last = bounds
    if not count:
        return 0
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE turn_rows AS SELECT t.*, r.bucket FROM tel_base t JOIN turn r"
        " ON t.vehicle_id = r.vehicle_id AND t.tenant_id = r.tenant_id AND t.ts >= r.bucket"
        " AND t.ts < r.bucket + INTERVAL 1 MINUTE WHERE t.ts >= ? AND t.ts < ?",
        [first, last],
    )
    present = _present(cursor, "turn_rows", [(s, s.name) for s in catalogue().signals])
    cursor.execute(
        "DELETE FROM tel_1m_base m USING turn r WHERE m.tenant_id = r.tenant_id AND m.vehicle_id = r.vehicle_id"
        " AND m.bucket = r.bucket"
    )
    parts = [(f"min({s.name})", f"max({s.name})", f"arg_max({s.name}, ts)") for s in present]
    _insert(cursor, "tel_1m_base", "turn_rows", "bucket", present, parts)
    _build_hours(cursor)
    cursor.execute(
        "DELETE FROM dirty USING turn r WHERE dirty.tenant_id = r.tenant_id AND dirty.vehicle_id = r.vehicle_id"
        " AND dirty.bucket = r.bucket"
    )
    cursor.execute("DROP TABLE turn_rows")
    cursor.execute("DROP TABLE turn")
    return int(count)


def _build_hours(cursor: Cursor) -> None:
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE turn_hours AS"
        " SELECT DISTINCT tenant_id, vehicle_id, date_trunc('hour', bucket)::TIMESTAMP AS bucket FROM turn"
    )
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE turn_minutes AS SELECT m.*, h.bucket AS hour FROM tel_1m_base m JOIN turn_hours h"
        " ON m.tenant_id = h.tenant_id AND m.vehicle_id = h.vehicle_id AND m.bucket >= h.bucket"
        " AND m.bucket < h.bucket + INTERVAL 1 HOUR"
        " WHERE m.bucket >= (SELECT min(bucket) FROM turn_hours)"
    )
    present = _present(cursor, "turn_minutes", [(s, tier_columns(s)[2]) for s in catalogue().signals])
    cursor.execute(
        "DELETE FROM tel_1h_base t USING turn_hours h WHERE t.tenant_id = h.tenant_id"
        " AND t.vehicle_id = h.vehicle_id AND t.bucket = h.bucket"
    )
    parts = [
        (f"min({smallest})", f"max({largest})", f"arg_max({last}, bucket)")
        for smallest, largest, last in (tier_columns(s) for s in present)
    ]
    _insert(cursor, "tel_1h_base", "turn_minutes", "hour", present, parts)
    cursor.execute("DROP TABLE turn_minutes")
    cursor.execute("DROP TABLE turn_hours")


def _present(cursor: Cursor, table: str, columns: Sequence[tuple[Signal, str]]) -> list[Signal]:
    """The signals that occur at all: the others need no aggregate."""
    there = columns_of(cursor, table)
    columns = [(signal, column) for signal, column in columns if column in there]
    counts = cursor.execute(
        f"SELECT {', '.join(['count(*)', *(f'count({column})' for _, column in columns)])} FROM {table}"  # noqa: S608  # names of the schema; values are bound
    ).fetchone()
    assert counts is not None
    return [signal for (signal, _), count in zip(columns, counts[1:], strict=True) if count]


def _insert(
    cursor: Cursor, target: str, source: str, bucket: str, present: list[Signal], parts: list[tuple[str, str, str]]
) -> None:
    names = "".join(f", {column}" for signal in present for column in tier_columns(signal))
    values = "".join(f", {part}" for triple in parts for part in triple)
    cursor.execute(
        f"INSERT INTO {target} (tenant_id, vehicle_id, bucket{names})"  # noqa: S608  # names of the schema; values are bound
        f" SELECT tenant_id, vehicle_id, {bucket}{values} FROM {source} GROUP BY tenant_id, vehicle_id, {bucket}"
    )


async def keep_building(store: TelemetryStore, every_s: float = _EVERY_S) -> None:
    """Build dirty minutes, then sort closed slices, in turns short enough not to hold up commits. Until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        begun, total = time.monotonic(), 0
        while built := await store.work(build):
            total += built
            if built < _BUCKETS_A_TURN:
                break
        rows = 0
        for _ in range(_SORTS):
            moved = await store.work(sort_next)
            if moved is None:
                break
            rows += moved
        if total or rows:
            log.debug("tiers_built", buckets=total, sorted_rows=rows, took_s=round(time.monotonic() - begun, 3))
