"""Whether frames, ledger and rows agree. What the tests and `milepost-cloud verify` ask."""

import msgspec

from cloud.telemetry.store import Cursor
from sync_protocol.signals import catalogue


class VerifyReport(msgspec.Struct):
    """Counts over everything, and every disagreement in words."""

    frames: int
    stored: int
    samples: int
    rows: int
    waiting_frames: int
    doubled: int
    problems: list[str]

    @property
    def is_consistent(self) -> bool:
        """Whether nothing disagrees."""
        return not self.problems


def verify(cursor: Cursor) -> VerifyReport:
    """Compare `frames` with the ledger, and both with `tel`: each frame once, each sample of an anchored boot once."""
    problems: list[str] = []
    frames, doubled = _row(
        cursor,
        "SELECT coalesce(sum(n), 0), coalesce(sum(n - 1), 0)"
        " FROM (SELECT count(*) AS n FROM frames GROUP BY stream_no, seq)",
    )
    if doubled:
        problems.append(f"{doubled} frames are stored twice")
    (stored,) = _row(cursor, "SELECT coalesce(sum(last - first + 1), 0) FROM ledger_range WHERE state = 'stored'")
    per_stream = cursor.execute(
        """
        WITH f AS (SELECT stream_no, count(DISTINCT seq) AS n FROM frames GROUP BY stream_no),
        l AS (SELECT stream_no, sum(last - first + 1) AS n FROM ledger_range WHERE state = 'stored' GROUP BY stream_no)
        SELECT coalesce(f.stream_no, l.stream_no), coalesce(f.n, 0), coalesce(l.n, 0)
        FROM f FULL JOIN l ON f.stream_no = l.stream_no WHERE f.n IS DISTINCT FROM l.n LIMIT 20
        """
    ).fetchall()
    problems += [f"stream {no}: {have} frames stored, the ledger says {says}" for no, have, says in per_stream]
    outside = cursor.execute(
        "SELECT f.stream_no, f.seq FROM frames f ANTI JOIN ledger_range r ON f.stream_no = r.stream_no"
        " AND r.state = 'stored' AND f.seq BETWEEN r.first AND r.last LIMIT 20"
    ).fetchall()
    problems += [f"stream {no}: frame {seq} is stored and not in the ledger" for no, seq in outside]
    problems += _overlaps(cursor)
    names = " + ".join(f"({s.name} IS NOT NULL)::INTEGER" for s in catalogue().signals)
    samples, rows = _row(cursor, f"SELECT coalesce(sum({names}), 0), count(*) FROM tel")  # noqa: S608  # names of the schema; values are bound
    anchored = "SELECT DISTINCT stream_no, boot FROM anchors"
    expected, events = _row(
        cursor,
        f"SELECT coalesce(sum(samples), 0), coalesce(sum(events), 0) FROM frames f SEMI JOIN ({anchored}) a"  # noqa: S608  # names of the schema; values are bound
        " ON f.stream_no = a.stream_no AND f.boot = a.boot",
    )
    (waiting,) = _row(
        cursor,
        f"SELECT count(*) FROM frames f ANTI JOIN ({anchored}) a ON f.stream_no = a.stream_no AND f.boot = a.boot",  # noqa: S608  # names of the schema; values are bound
    )
    if samples != expected:
        problems.append(f"{samples} samples in rows, their frames have {expected}")
    (stood,) = _row(cursor, "SELECT count(*) FROM events")
    if stood != events:
        problems.append(f"{stood} events in rows, their frames have {events}")
    (orphans,) = _row(
        cursor, "SELECT count(*) FROM tel t ANTI JOIN frames f ON t.stream_no = f.stream_no AND t.seq = f.seq"
    )
    if orphans:
        problems.append(f"{orphans} rows without a frame")
    return VerifyReport(frames, stored, samples, rows, waiting, doubled, problems)


def _overlaps(cursor: Cursor) -> list[str]:
    rows = cursor.execute(
        "SELECT a.stream_no, a.state, b.state, greatest(a.first, b.first) FROM ledger_range a JOIN ledger_range b"
        " ON a.stream_no = b.stream_no AND a.state < b.state AND a.first <= b.last AND b.first <= a.last"
        " WHERE a.state IN ('stored', 'lost', 'quarantined') AND b.state IN ('stored', 'lost', 'quarantined') LIMIT 20"
    ).fetchall()
    return [f"stream {no}: frame {seq} is both {one} and {other}" for no, one, other, seq in rows]


def _row(cursor: Cursor, sql: str) -> tuple[int, ...]:
    row = cursor.execute(sql).fetchone()
    assert row is not None
    return tuple(int(n) for n in row)
