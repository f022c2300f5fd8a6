"""When devices sampled: stretches of device time without a gap beyond a minute, rolled up from `frames`.

`keep_rolling` moves what is older than some minutes into `spans`; a question reads that and the newest frames, so it
costs the same however long the history is.
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import numpy as np
import structlog

from cloud.telemetry.store import Cursor, TelemetryStore
from cloud.telemetry.timeline import Span, Timeline

log = structlog.get_logger()

GAP_MS = 60_000
_JOB = "spans_to"
_EVERY = timedelta(minutes=10)
_SLICE = timedelta(hours=1)
# A redelivered frame comes with its first time of arrival; taking a frame in twice changes nothing.
_OVERLAP = timedelta(minutes=10)
_LOOK_S = 30.0
_START = datetime(1970, 1, 1)
# Stretches of {source}, joined where they follow each other within the gap.
_ISLANDS = """
    SELECT tenant_id, device_id, stream_no, boot, min(first_ms) AS first_ms, max(last_ms) AS last_ms FROM (
        SELECT *, sum((gap_ms > ?)::INTEGER) OVER (PARTITION BY stream_no, boot ORDER BY first_ms, last_ms) AS island
        FROM (
            SELECT tenant_id, device_id, stream_no, boot, first_ms, last_ms,
                first_ms - max(last_ms) OVER (PARTITION BY stream_no, boot ORDER BY first_ms, last_ms
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS gap_ms
            FROM ({source})))
    GROUP BY tenant_id, device_id, stream_no, boot, island
"""
_PLACE = "tenant_id, device_id, stream_no, boot, first_ms, last_ms"


def roll_up(cursor: Cursor) -> bool:
    """Move an hour of frames, by the time of their arrival, into `spans`. False when there is not enough to move."""
    done = _rolled_to(cursor)
    found = cursor.execute("SELECT min(received), max(received) FROM frames WHERE received >= ?", [done]).fetchone()
    if found is None or found[0] is None or found[1] - max(done, found[0]) < _EVERY:
        return False
    begin = max(done, found[0])
    end = min(begin + _SLICE, found[1])
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE came AS SELECT {_PLACE} FROM frames"  # noqa: S608  # names of the schema; values are bound
        " WHERE received >= ? AND received < ? AND samples > 0",
        [begin - _OVERLAP, end],
    )
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE joined AS WITH near AS (SELECT stream_no, boot, min(first_ms) AS first_ms,"
        " max(last_ms) AS last_ms FROM came GROUP BY stream_no, boot)"
        " SELECT s.* FROM spans s JOIN near n ON s.stream_no = n.stream_no AND s.boot = n.boot"
        " AND s.last_ms >= n.first_ms - ? AND s.first_ms <= n.last_ms + ?",
        [GAP_MS, GAP_MS],
    )
    cursor.execute(
        "DELETE FROM spans USING joined j"
        " WHERE spans.stream_no = j.stream_no AND spans.boot = j.boot AND spans.first_ms = j.first_ms"
    )
    source = f"SELECT {_PLACE} FROM came UNION ALL SELECT {_PLACE} FROM joined"  # noqa: S608  # names of the schema; values are bound
    cursor.execute(f"INSERT INTO spans ({_PLACE}) {_ISLANDS.format(source=source)}", [GAP_MS])
    cursor.execute("DROP TABLE came")
    cursor.execute("DROP TABLE joined")
    cursor.execute("DELETE FROM job_state WHERE name = ?", [_JOB])
    cursor.execute("INSERT INTO job_state VALUES (?, ?)", [_JOB, end.isoformat()])
    return True


def spans(cursor: Cursor, tenant_id: int, device_id: int, since_ms: int) -> list[Span]:
    """Stretches in which a device sampled, UTC in ms, oldest first; those that ended before `since_ms` are left out.

    A boot whose time is not known yet has none.
    """
    place = [tenant_id, device_id]
    rows = cursor.execute(
        "SELECT stream_no, boot, first_ms, last_ms FROM spans WHERE tenant_id = ? AND device_id = ? UNION ALL"
        " SELECT stream_no, boot, first_ms, last_ms FROM frames"
        " WHERE tenant_id = ? AND device_id = ? AND received >= ? AND samples > 0",
        [*place, *place, _rolled_to(cursor) - _OVERLAP],
    ).fetchall()
    of_boot: dict[tuple[int, int], list[Span]] = {}
    for stream_no, boot, first_ms, last_ms in rows:
        of_boot.setdefault((stream_no, boot), []).append(Span(first_ms, last_ms))
    found: list[Span] = []
    for boot, timeline in _timelines(cursor, of_boot).items():
        if timeline.is_anchored:
            ends = timeline.project(np.array(_joined(sorted(of_boot[boot])), np.int64).ravel()).reshape(-1, 2)
            found += [Span(first, last) for first, last in ends.tolist() if last >= since_ms]
    return _joined(sorted(found))


def _rolled_to(cursor: Cursor) -> datetime:
    row = cursor.execute("SELECT value FROM job_state WHERE name = ?", [_JOB]).fetchone()
    return _START if row is None else datetime.fromisoformat(row[0])


def _timelines(cursor: Cursor, boots: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Timeline]:
    times = {boot: Timeline() for boot in boots}
    if not times:
        return times
    streams = sorted({stream_no for stream_no, _ in times})
    anchors = cursor.execute(
        "SELECT stream_no, boot, boot_ms, utc_ms, source FROM anchors"  # noqa: S608  # names of the schema; values are bound
        f" WHERE stream_no IN ({', '.join('?' for _ in streams)})",
        streams,
    ).fetchall()
    for stream_no, boot, boot_ms, utc_ms, source in anchors:
        if (stream_no, boot) in times:
            times[stream_no, boot].add(boot_ms, utc_ms, source)
    return times


def _joined(found: Sequence[Span]) -> list[Span]:
    """Stretches in order, those that follow each other without a gap as one."""
    out: list[Span] = []
    for span in found:
        if out and span.first_ms - out[-1].last_ms <= GAP_MS:
            out[-1] = Span(out[-1].first_ms, max(out[-1].last_ms, span.last_ms))
        else:
            out.append(span)
    return out


async def keep_rolling(store: TelemetryStore, look_s: float = _LOOK_S) -> None:
    """Roll frames up as they grow old, an hour in a transaction. Until cancelled."""
    while True:
        await asyncio.sleep(look_s)
        hours = 0
        while await store.work(roll_up):
            hours += 1
        if hours:
            log.debug("spans_rolled_up", transactions=hours)
