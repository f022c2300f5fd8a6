"""Which frames of a device derive may take next: in sequence order, past a gap only when it is settled."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cloud.facts import RangeRow

Position = tuple[int, int]
"""(stream_no, seq): the last frame that was taken, (n, 0) before a stream's first."""

START: Position = (0, 0)


class Plan(NamedTuple):
    """Runs of frames to take (stream_no, first, last), and where the cursor stands after them.

    `waits_at` is the frame that everything waits for, None when nothing is missing.
    """

    runs: list[tuple[int, int, int]]
    end: Position
    waits_at: Position | None


def plan(
    streams: Sequence[int],
    ranges: Mapping[int, Sequence[RangeRow]],
    at: Position,
    *,
    limit: int,
    skip: Position | None = None,
) -> Plan:
    """What follows `at`, at most `limit` frames. `skip` is a missing frame whose patience is over: pass its gap.

    streams: the device's stream numbers, oldest first. Lost and quarantined frames are passed; an older stream is left
    when all of it is accounted for and a newer one has begun.
    """
    runs: list[tuple[int, int, int]] = []
    left = limit
    later = [no for no in streams if no >= at[0]]
    for i, stream_no in enumerate(later):
        seq = at[1] if stream_no == at[0] else 0
        rows = ranges.get(stream_no, ())
        last_seq = max((row.last for row in rows), default=0)
        while seq < last_seq:
            row = _covering(rows, seq + 1)
            if row is None:
                missing = (stream_no, seq + 1)
                if skip != missing:
                    return Plan(runs, (stream_no, seq), missing)
                seq = min((r.first for r in rows if r.first > seq and r.state != "spoken_of"), default=last_seq + 1) - 1
            elif row.state == "stored":
                if left == 0:
                    return Plan(runs, (stream_no, seq), None)
                last = min(row.last, seq + left)
                runs.append((stream_no, seq + 1, last))
                left -= last - seq
                seq = last
            else:
                seq = row.last
        is_last = i == len(later) - 1
        if is_last or not any(ranges.get(no) for no in later[i + 1 :]):
            return Plan(runs, (stream_no, seq), None)
    return Plan(runs, at, None)


def _covering(rows: Sequence[RangeRow], seq: int) -> RangeRow | None:
    """The row that settles a seq: stored, lost or quarantined."""
    for row in rows:
        if row.first <= seq <= row.last and row.state in ("stored", "lost", "quarantined"):
            return row
    return None
