"""After the storm: the outbox's committed frames and the sensors' log against the store, sample by sample."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np

from edge.outbox.schema import connect_read_only, stream_seq
from edge.sensors.recording import Row, read_recording
from sync_protocol.codec import decode
from sync_protocol.header import frame_crc
from sync_protocol.messages import Event
from sync_protocol.signals import catalogue

Key = tuple[bytes, int]  # stream_id, seq
Sample = tuple[int, int, int]  # boot_ms, signal id, raw


class Committed(NamedTuple):
    """What one device's outbox holds."""

    frames: dict[Key, bytes]
    gaps: list[tuple[bytes, int, int, str]]
    last_seq: dict[bytes, int]


class Verdict(NamedTuple):
    """Counts over all devices; `lost`, `doubled` and `gaps_unreported` must be 0."""

    frames: int
    samples: int
    lost: int
    doubled: int
    altered: int
    uncommitted_s: float
    gaps_unreported: int


def committed(outbox: Path) -> Committed:
    """Read an outbox whose agent has stopped."""
    db = connect_read_only(outbox)
    try:
        streams = {no: (bytes(i), last) for no, i, last in db.execute("select no, stream_id, last_seq from streams")}
        frames = {}
        for row_id, body in db.execute("select id, body from frames"):
            no, seq = stream_seq(row_id)
            frames[streams[no][0], seq] = bytes(body)
        gaps = [
            (streams[no][0], a, b, why)
            for no, a, b, why in db.execute("select stream_no, first, last, reason from gaps")
        ]
        return Committed(frames, gaps, dict(streams.values()))
    finally:
        db.close()


def samples_of(data: bytes) -> Iterator[Sample]:
    """Every sample of a frame."""
    for group in decode(data).groups:
        for column, row in zip(*np.nonzero(group.present), strict=True):
            yield int(group.times_ms[row]), group.signal_ids[column], int(group.values[column, row])


def compare(store: Path, outboxes: dict[str, Path], logs: dict[str, list[Path]]) -> tuple[Verdict, list[str]]:
    """Compare; also returns a line for each thing that is wrong, at most a few of a kind."""
    wrong: list[str] = []
    with duckdb.connect(str(store), read_only=True) as db:
        stored = db.execute(
            "SELECT s.stream_id, f.seq, f.crc, f.body, f.stream_no FROM frames f JOIN streams s USING (stream_no)"
        ).fetchall()
        times = Counter((bytes(stream), seq) for stream, seq, *_ in stored)
        doubled = sum(n - 1 for n in times.values())
        bodies = {(bytes(stream), seq): (crc, bytes(body)) for stream, seq, crc, body, _ in stored}
        doubled += _doubled_rows(db)
        altered = _altered_rows(db, stored, wrong)
    lost = frames = samples = unreported = 0
    uncommitted_s = 0.0
    for device, path in outboxes.items():
        mine = committed(path)
        frames += len(mine.frames)
        for key, body in mine.frames.items():
            if key not in bodies:
                lost += 1
                wrong.append(f"{device}: frame {key[0].hex()[:8]}/{key[1]} is committed and not stored")
            elif bodies[key][1] != body or bodies[key][0] != frame_crc(body):
                altered += 1
                wrong.append(f"{device}: frame {key[0].hex()[:8]}/{key[1]} is stored with other bytes")
        held, events = set[Sample](), list[Event]()
        for body in mine.frames.values():
            held.update(samples_of(body))
            events += decode(body).meta.events
        samples += len(held)
        seconds, silent = _uncommitted(logs[device], held, events)
        uncommitted_s += seconds
        unreported += len(silent)
        wrong += [f"{device}: nobody reported the gap {a}..{b} ms" for a, b in silent[:5]]
    return Verdict(frames, samples, lost, doubled, altered, uncommitted_s, unreported), wrong


def _doubled_rows(db: duckdb.DuckDBPyConnection) -> int:
    """Rows of `tel` that stand twice: one frame has one row an instant."""
    row = db.execute(
        "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) n FROM tel GROUP BY stream_no, boot, seq, ts)"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _altered_rows(
    db: duckdb.DuckDBPyConnection, stored: list[tuple[bytes, int, int, bytes, int]], wrong: list[str]
) -> int:
    """Samples whose row in `tel` is missing or says something else. Those out of range are marks, not rows."""
    altered = 0
    by_id = catalogue().by_id
    names = [s.name for s in catalogue().signals]
    rows: dict[tuple[int, int], list[tuple[object, ...]]] = {}
    for row in db.execute(f"SELECT stream_no, seq, {', '.join(names)} FROM tel ORDER BY stream_no, seq, ts").fetchall():
        rows.setdefault((row[0], row[1]), []).append(row[2:])
    at = {s.id: i for i, s in enumerate(catalogue().signals)}
    for stream, seq, _, body, stream_no in stored:
        instants: dict[int, list[tuple[int, int]]] = {}
        for boot_ms, signal_id, raw in samples_of(bytes(body)):
            instants.setdefault(boot_ms, []).append((signal_id, raw))
        found = rows.get((stream_no, seq), [])
        if len(found) != len(instants):
            altered += 1
            wrong.append(f"frame {bytes(stream).hex()[:8]}/{seq}: {len(instants)} instants, {len(found)} rows")
            continue
        for (_, cells), row in zip(sorted(instants.items()), found, strict=True):
            for signal_id, raw in cells:
                signal = by_id[signal_id]
                value = row[at[signal_id]]
                if not signal.is_in_range(raw):
                    altered += value is not None
                elif value is None or abs(float(value) - signal.value(raw)) > 1e-6 * max(1.0, abs(signal.value(raw))):
                    altered += 1
                    wrong.append(f"frame {bytes(stream).hex()[:8]}/{seq}: {signal.name} {value} != {signal.value(raw)}")
    return altered


def _uncommitted(logs: list[Path], held: set[Sample], events: list[Event]) -> tuple[float, list[tuple[int, int]]]:
    """Seconds that the sensors' logs have and no committed frame, and the stretches of them that nobody reported.

    Each log is one life of the agent; what it lacks is its end. The life after it must say so, with `agent_started`:
    which boot time was the last committed, and that it was killed.
    """
    times = {(boot_ms, signal_id) for boot_ms, signal_id, _ in held}
    reported = [
        (int(e.data["last_boot_ms"]), e.boot_ms)
        for e in events
        if e.kind == "agent_started" and e.data["previous_end"] in ("killed", "power")
    ]
    seconds = 0.0
    silent: list[tuple[int, int]] = []
    for log in logs:
        rows = [line for line in read_recording(log) if isinstance(line, Row)]
        missing = [row.t for row in rows if any((row.t, signal_id) not in times for signal_id in row.raw)]
        if not missing:
            continue
        first, last = min(missing), max(missing)
        before = max((row.t for row in rows if row.t < first), default=first)
        seconds += (last - before) / 1000
        if not any(a <= first and last <= b for a, b in reported):
            silent.append((first, last))
    return seconds, silent
