"""Closed days are sorted by vehicle and time, so that a question about one vehicle reads few row groups.

An hour at a time: a day at once would hold up commits.
"""

from datetime import UTC, datetime, timedelta

from cloud.telemetry.store import Cursor

_JOB = "sorted_before"
_CLOSED = timedelta(hours=36)
_HOUR = timedelta(hours=1)


def sort_next_hour(cursor: Cursor, before: datetime | None = None) -> int | None:
    """Sort the oldest hour that is over (began `before`, 36 hours ago by default) and was not sorted yet.

    Returns its rows, None when there is no such hour.
    """
    if before is None:
        before = datetime.now(UTC).replace(tzinfo=None) - _CLOSED
    state = cursor.execute("SELECT value FROM job_state WHERE name = ?", [_JOB]).fetchone()
    done = datetime.fromisoformat(state[0]) if state is not None else datetime(1970, 1, 1)
    found = cursor.execute(
        "SELECT date_trunc('hour', min(ts))::TIMESTAMP FROM tel WHERE ts >= ? AND ts < ?", [done, before]
    ).fetchone()
    if found is None or found[0] is None or found[0] + _HOUR > before:
        return None
    span = [found[0], found[0] + _HOUR]
    cursor.execute(
        "CREATE OR REPLACE TEMP TABLE hour AS SELECT * FROM tel WHERE ts >= ? AND ts < ?"
        " ORDER BY tenant_id, vehicle_id, ts",
        span,
    )
    cursor.execute("DELETE FROM tel WHERE ts >= ? AND ts < ?", span)
    cursor.execute("INSERT INTO tel SELECT * FROM hour")
    counted = cursor.execute("SELECT count(*) FROM hour").fetchone()
    cursor.execute("DROP TABLE hour")
    cursor.execute("DELETE FROM job_state WHERE name = ?", [_JOB])
    cursor.execute("INSERT INTO job_state VALUES (?, ?)", [_JOB, span[1].isoformat()])
    return int(counted[0]) if counted is not None else 0
