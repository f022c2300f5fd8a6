"""Closed slices of rows are sorted by vehicle and time, so that a question about one vehicle reads few row groups.

Rows arrive fleet-wide: a vehicle's hour as it came touches every row group of that hour. So ten minutes are sorted
soon after they are over, and again by the hour once late rows have come; the minutes' tier by the hour, then the day.
A turn is bounded in rows, since it holds up commits; a slice with more takes several, some vehicles each.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from math import ceil
from typing import NamedTuple

from cloud.telemetry.store import Cursor

_START = datetime(1970, 1, 1)


class Level(NamedTuple):
    """Slices of `width` of a table, sorted once they have been over for `closed`; older than `until` never.

    `rows`: about so many are moved in a turn, which takes about a second.
    """

    job: str
    table: str
    time: str
    width: timedelta
    closed: timedelta
    rows: int
    until: timedelta | None = None


_LATE = timedelta(hours=36)
LEVELS = (
    Level("sorted_fresh", "tel_base", "ts", timedelta(minutes=10), timedelta(minutes=15), 250_000, _LATE),
    Level("sorted_before", "tel_base", "ts", timedelta(hours=1), _LATE, 250_000),
    Level("sorted_minutes", "tel_1m_base", "bucket", timedelta(days=1), _LATE, 40_000),
    Level("sorted_fresh_minutes", "tel_1m_base", "bucket", timedelta(hours=1), timedelta(minutes=15), 40_000, _LATE),
)


def sort_next(cursor: Cursor, now: datetime | None = None, levels: Sequence[Level] = LEVELS) -> int | None:
    """Sort the oldest closed slice that was not sorted yet, or the next vehicles of it; `now` is naive UTC.

    Returns how many rows it moved, None when there is nothing to sort.
    """
    now = now or datetime.now(UTC).replace(tzinfo=None)
    for level in levels:
        begun = _begun(cursor, level, now)
        if begun is not None:
            return _turn(cursor, level, *begun)
    return None


def _begun(cursor: Cursor, level: Level, now: datetime) -> tuple[datetime, int] | None:
    """The slice that is next, and up to which vehicle it is done."""
    state = cursor.execute("SELECT value FROM job_state WHERE name = ?", [level.job]).fetchone()
    words = state[0].split() if state is not None else [_START.isoformat()]
    done, vehicle = datetime.fromisoformat(words[0]), int(words[1]) if len(words) > 1 else 0
    before = _floor(now - level.closed, level.width)
    if level.until is not None and done < (oldest := _floor(now - level.until, level.width)):
        done, vehicle = oldest, 0
    if done >= before:
        return None
    if vehicle:
        return done, vehicle
    found = cursor.execute(
        f"SELECT min({level.time}) FROM {level.table} WHERE {level.time} >= ? AND {level.time} < ?",  # noqa: S608  # names of the schema; values are bound
        [done, before],
    ).fetchone()
    return None if found is None or found[0] is None else (_floor(found[0], level.width), 0)


def _floor(ts: datetime, width: timedelta) -> datetime:
    return ts - (ts - _START) % width


def _turn(cursor: Cursor, level: Level, start: datetime, after: int) -> int:
    table, end = level.table, start + level.width
    within = f"{level.time} >= ? AND {level.time} < ? AND vehicle_id > ?"
    counts = cursor.execute(
        f"SELECT vehicle_id, count(*) FROM {table} WHERE {within} GROUP BY vehicle_id ORDER BY vehicle_id",  # noqa: S608  # names of the schema; values are bound
        [start, end, after],
    ).fetchall()
    sums: list[int] = [0, *accumulate(count for _, count in counts)]
    share = sums[-1] / max(1, ceil(sums[-1] / level.rows))  # equal turns, no crumb at the end
    taken = max(1, bisect_right(sums, share) - 1)
    moved = sums[min(taken, len(counts))]
    if counts:
        _move(cursor, level, f"{within} AND vehicle_id <= ?", [start, end, after, counts[taken - 1][0]])
    is_over = taken >= len(counts)
    value = end.isoformat() if is_over else f"{start.isoformat()} {counts[taken - 1][0]}"
    cursor.execute("DELETE FROM job_state WHERE name = ?", [level.job])
    cursor.execute("INSERT INTO job_state VALUES (?, ?)", [level.job, value])
    return moved


def _move(cursor: Cursor, level: Level, where: str, arguments: list[object]) -> None:
    """Take the rows out and append them again in order. Columns that are empty in all of them stay behind."""
    described = cursor.execute(f"DESCRIBE {level.table}").fetchall()
    every = [name for name, *_ in described]
    counts = cursor.execute(
        f"SELECT {', '.join(f'count({name})' for name in every)} FROM {level.table} WHERE {where}",  # noqa: S608  # names of the schema; values are bound
        arguments,
    ).fetchone()
    assert counts is not None
    names = ", ".join(name for name, count in zip(every, counts, strict=True) if count)
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE moved AS SELECT {names} FROM {level.table} WHERE {where}"  # noqa: S608  # names of the schema; values are bound
        f" ORDER BY vehicle_id, {level.time}",
        arguments,
    )
    cursor.execute(f"DELETE FROM {level.table} WHERE {where}", arguments)  # noqa: S608  # names of the schema; values are bound
    cursor.execute(f"INSERT INTO {level.table} ({names}) SELECT {names} FROM moved")  # noqa: S608  # names of the schema; values are bound
    cursor.execute("DROP TABLE moved")
