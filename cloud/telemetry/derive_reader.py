"""What derive reads: ledgers, and stored frames with UTC and the few signals its steps want."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloud.facts import DerivedFrame, FrameRow, Order, RangeRow, Registry, Samples
from cloud.telemetry.project import to_values
from cloud.telemetry.reproject import decode_rows
from cloud.telemetry.store import Cursor, TelemetryStore
from cloud.telemetry.timeline import Timeline
from sync_protocol.signals import catalogue

_CHUNK_FRAMES = 500
_RECENT = "f.received >= (SELECT max(received) - INTERVAL 10 MINUTE FROM frames)"


class StoredLedger(NamedTuple):
    """A device's stream numbers, oldest first, and their ranges."""

    tenant_id: int
    streams: Sequence[int]
    ranges: Mapping[int, Sequence[RangeRow]]


class DeriveReader:
    """Reads for derive, in whichever thread asks."""

    def __init__(self, store: TelemetryStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def devices(self) -> Sequence[int]:
        """Every device that has a stream."""
        rows = self._store.read_sync(lambda c: c.execute("SELECT DISTINCT device_id FROM streams").fetchall())
        return [device_id for (device_id,) in rows]

    def ledgers(self, device_ids: Sequence[int]) -> Mapping[int, StoredLedger]:
        """Ledgers as committed."""
        asked = pa.table({"device_id": pa.array(device_ids, pa.int32())})

        def fetch(cursor: Cursor) -> list[tuple[int, int, int, str | None, int, int, str | None]]:
            cursor.register("asked", asked)
            rows = cursor.execute(
                "SELECT s.tenant_id, s.device_id, s.stream_no, r.state, r.first, r.last, r.reason FROM streams s"
                " SEMI JOIN asked a ON s.device_id = a.device_id"
                " LEFT JOIN ledger_range r ON r.stream_no = s.stream_no ORDER BY s.stream_no, r.first"
            ).fetchall()
            cursor.unregister("asked")
            return rows

        out: dict[int, StoredLedger] = {}
        for tenant_id, device_id, stream_no, state, first, last, reason in self._store.read_sync(fetch):
            ledger = out.setdefault(device_id, StoredLedger(tenant_id, [], {}))
            if stream_no not in ledger.ranges:
                ledger.streams.append(stream_no)  # type: ignore[attr-defined]  # still being built
                ledger.ranges[stream_no] = []  # type: ignore[index]  # still being built
            if state is not None:
                row = RangeRow(stream_no, state, first, last, reason)  # type: ignore[arg-type]  # as written
                ledger.ranges[stream_no].append(row)  # type: ignore[attr-defined]  # still being built
        return out

    def frames(self, runs: Sequence[tuple[int, int, int]], signals: Sequence[str]) -> Iterator[DerivedFrame]:
        """Frames of the runs in stream and sequence order; ends a device's frames at the first without UTC."""
        stopped: set[int] = set()
        keys = self._keys(runs)
        timelines = self._timelines({(stream, boot) for stream, _, boot in keys})
        for at in range(0, len(keys), _CHUNK_FRAMES):
            part = keys[at : at + _CHUNK_FRAMES]
            frames, samples = decode_rows(self._bodies(part))
            yield from _derive(frames, samples, signals, timelines, self._registry, stopped)

    def _keys(self, runs: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """(stream_no, seq, boot) of the frames in the runs. New frames lie at the table's end."""
        expected = sum(last - first + 1 for _, first, last in runs)
        if not expected:
            return []
        asked = pa.table(
            {
                "stream_no": pa.array([r[0] for r in runs], pa.int32()),
                "first": pa.array([r[1] for r in runs], pa.int64()),
                "last": pa.array([r[2] for r in runs], pa.int64()),
            }
        )

        def fetch(cursor: Cursor) -> list[tuple[int, int, int]]:
            cursor.register("asked_runs", asked)
            rows: list[tuple[int, int, int]] = []
            for recent in (True, False):
                newest = _RECENT if recent else "true"
                rows = cursor.execute(
                    "SELECT f.stream_no, f.seq, f.boot FROM frames f JOIN asked_runs a"  # noqa: S608  # names of the schema; values are bound
                    " ON f.stream_no = a.stream_no AND f.seq BETWEEN a.first AND a.last"
                    f" WHERE {newest} ORDER BY f.stream_no, f.seq"
                ).fetchall()
                if len(rows) >= expected:
                    break
            cursor.unregister("asked_runs")
            return rows

        return self._store.read_sync(fetch)

    def _bodies(self, keys: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int, int, int, bytes]]:
        asked = pa.table(
            {
                "stream_no": pa.array([k[0] for k in keys], pa.int32()),
                "seq": pa.array([k[1] for k in keys], pa.int64()),
            }
        )

        def fetch(cursor: Cursor) -> list[tuple[int, int, int, int, int, bytes]]:
            cursor.register("asked_keys", asked)
            rows = cursor.execute(
                "SELECT f.tenant_id, f.device_id, f.stream_no, f.crc, epoch_us(f.received), f.body FROM frames f"
                " JOIN asked_keys k ON f.stream_no = k.stream_no AND f.seq = k.seq ORDER BY f.stream_no, f.seq"
            ).fetchall()
            cursor.unregister("asked_keys")
            return rows

        return self._store.read_sync(fetch)

    def _timelines(self, boots: set[tuple[int, int]]) -> dict[tuple[int, int], Timeline]:
        timelines = {boot: Timeline() for boot in boots}
        asked = pa.table(
            {
                "stream_no": pa.array([b[0] for b in boots], pa.int32()),
                "boot": pa.array([b[1] for b in boots], pa.int32()),
            }
        )

        def fetch(cursor: Cursor) -> list[tuple[int, int, int, int, str]]:
            cursor.register("asked_boots", asked)
            rows = cursor.execute(
                "SELECT a.stream_no, a.boot, a.boot_ms, a.utc_ms, a.source FROM anchors a"
                " JOIN asked_boots b ON a.stream_no = b.stream_no AND a.boot = b.boot"
            ).fetchall()
            cursor.unregister("asked_boots")
            return rows

        for stream_no, boot, boot_ms, utc_ms, source in self._store.read_sync(fetch):
            timelines[stream_no, boot].add(boot_ms, utc_ms, source)
        return timelines

    def rewinds(self) -> tuple[int, Mapping[int, tuple[int, int]]]:
        """For each device the earliest frame that came late or was moved in time; and up to which note that holds."""
        rows = self._store.read_sync(
            lambda c: c.execute(
                "SELECT device_id, min((stream_no, seq)), max(no) FROM rewinds GROUP BY device_id"
            ).fetchall()
        )
        return max((row[2] for row in rows), default=0), {
            device_id: (first[0], first[1]) for device_id, first, _ in rows
        }

    def forget_rewinds(self, up_to: int) -> None:
        """Remove the notes that have been followed."""
        self._store.write_sync(lambda c: c.execute("DELETE FROM rewinds WHERE no <= ?", [up_to]).fetchall())


def _derive(
    frames: Sequence[FrameRow],
    samples: Samples,
    signals: Sequence[str],
    timelines: Mapping[tuple[int, int], Timeline],
    registry: Registry,
    stopped: set[int],
) -> Iterator[DerivedFrame]:
    ids = np.array([catalogue().by_name[name].id for name in signals], np.int16)
    wanted = np.isin(samples.cell_signal, ids)
    cell_row, signal = samples.cell_row[wanted], samples.cell_signal[wanted]
    value = to_values(signal, samples.cell_raw[wanted])
    column = np.searchsorted(np.sort(ids), signal)
    names = [signals[i] for i in np.argsort(ids, kind="stable")]
    table = np.full((len(ids), len(samples.row_ms)), np.nan)
    table[column, cell_row] = value
    starts = np.searchsorted(samples.row_frame, np.arange(len(frames) + 1))
    for i, frame in enumerate(frames):
        timeline = timelines[frame.stream_no, frame.header.boot]
        if frame.device.id in stopped or not timeline.is_anchored:
            stopped.add(frame.device.id)
            continue
        rows = slice(starts[i], starts[i + 1])
        ms, part = samples.row_ms[rows], table[:, rows]
        has_any = ~np.isnan(part).all(axis=0)
        order = np.argsort(ms[has_any], kind="stable")
        ms, part = ms[has_any][order], part[:, has_any][:, order]
        ts_us = timeline.project(ms) * 1000
        end_us = (timeline.utc_ms(frame.header.last_ms) or 0) * 1000
        yield DerivedFrame(
            frame.device.tenant_id,
            frame.device.id,
            registry.vehicle_at(frame.device.id, end_us),
            Order(frame.stream_no, frame.header.boot, frame.header.seq),
            ts_us,
            dict(zip(names, part, strict=True)),
            [((timeline.utc_ms(event.boot_ms) or 0) * 1000, event) for event in frame.meta.events],
        )
