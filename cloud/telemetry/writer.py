"""One commit of ingest: a batch becomes rows. Prepared in ingest's decode thread, executed in the writer thread.

`TelemetryWriter` keeps the timelines (device time to UTC) of all boots in use; only the decode thread touches them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloud.facts import AnchorRow, Batch, Committed, LiveUpdate, QuarantineRow, Registry, TimeSource, UnplacedBoot
from cloud.latest import LatestTable, unpacked
from cloud.telemetry.insert import insert_projected, insert_table
from cloud.telemetry.placing import unplaced
from cloud.telemetry.project import Projected, occurring, project, rows_table
from cloud.telemetry.reproject import Retime, retime
from cloud.telemetry.schema import add_columns
from cloud.telemetry.store import Cursor, TelemetryStore
from cloud.telemetry.timeline import FOREVER_MS, Span, Timeline

_TIMELINES_KEPT = 200_000
_BATCHES_UNDER_WAY = 6
_CENTURY_MS = (946_684_800_000, 4_102_444_800_000)

BootKey = tuple[int, int]


class _Prepared(NamedTuple):
    frames: pa.Table
    projected: Projected
    retimes: list[Retime]
    tables: dict[str, pa.Table]
    ranges: pa.Table
    touched_streams: pa.Table
    streams: pa.Table
    latest: pa.Table
    quarantined: Sequence[QuarantineRow]
    batch: Batch


class TelemetryWriter:
    """Turns batches into committed rows."""

    def __init__(self, store: TelemetryStore, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._timelines: dict[BootKey, Timeline] = {}
        self._moved: dict[BootKey, list[Span]] = {}
        self._known_boots: set[BootKey] = set()
        self._latest = LatestTable()
        # Boots whose newest anchors may not be readable yet: of the batch being taken and of those under way.
        self._anchored: deque[set[BootKey]] = deque([set()], maxlen=_BATCHES_UNDER_WAY)

    def load(self) -> None:
        """Read what is needed to go on: the boots that are known, and the anchors of each stream's last one."""
        self._known_boots = set(
            self._store.read_sync(lambda c: c.execute("SELECT stream_no, boot FROM boots").fetchall())
        )
        last = self._store.read_sync(
            lambda c: c.execute("SELECT stream_no, max(boot) FROM boots GROUP BY stream_no").fetchall()
        )
        self.preload(last)
        self._latest = LatestTable()
        self._latest.apply(self._store.read_sync(load_latest))

    def preload(self, keys: Iterable[BootKey]) -> None:
        """Read the anchors of boots in one query."""
        wanted = [key for key in keys if key not in self._timelines]
        for key in wanted:
            known = key in self._known_boots
            self._timelines[key] = Timeline(FOREVER_MS if known else -1)
        keys_known = [key for key in wanted if key in self._known_boots]
        if not keys_known:
            return
        table = pa.table({"stream_no": [k[0] for k in keys_known], "boot": [k[1] for k in keys_known]})

        def fetch(cursor: Cursor) -> list[tuple[int, int, int, int, str]]:
            cursor.register("wanted_boots", table)
            rows = cursor.execute(
                "SELECT a.stream_no, a.boot, a.boot_ms, a.utc_ms, a.source FROM anchors a"
                " JOIN wanted_boots w ON a.stream_no = w.stream_no AND a.boot = w.boot"
            ).fetchall()
            cursor.unregister("wanted_boots")
            return rows

        for stream_no, boot, boot_ms, utc_ms, source in self._store.read_sync(fetch):
            self._timelines[stream_no, boot].add(boot_ms, utc_ms, source)

    def timeline(self, stream_no: int, boot: int) -> Timeline:
        """The timeline of a boot. Decode thread only."""
        key = stream_no, boot
        found = self._timelines.get(key)
        if found is None:
            if len(self._timelines) >= _TIMELINES_KEPT:
                self._forget()
            self.preload([key])
            found = self._timelines[key]
        return found

    def anchor(self, row: AnchorRow) -> bool:
        """Take in a time anchor before anything that uses it. False when it says something impossible."""
        if not (_CENTURY_MS[0] <= row.utc_ms < _CENTURY_MS[1] and 0 <= row.boot_ms < 1 << 48):
            return False
        timeline = self.timeline(row.stream_no, row.boot)
        self._anchored[-1].add((row.stream_no, row.boot))
        span = timeline.add(row.boot_ms, row.utc_ms, row.source)
        if span is not None and span.first_ms <= timeline.stored_to_ms:
            self._moved.setdefault((row.stream_no, row.boot), []).append(span)
        return True

    def source(self, stream_no: int, boot: int) -> TimeSource | None:
        """Where a boot's UTC comes from so far."""
        return self.timeline(stream_no, boot).source

    def utc_ms(self, stream_no: int, boot: int, boot_ms: int) -> int | None:
        """UTC of an instant, None while the boot has no anchor. Decode thread only."""
        return self.timeline(stream_no, boot).utc_ms(boot_ms)

    def unplaced(self) -> Sequence[UnplacedBoot]:
        """Boots without any anchor that lie before one that has some."""
        return self._store.read_sync(unplaced)

    def stored_crcs(self, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
        """Checksums of stored frames by (stream_no, seq)."""
        table = pa.table({"stream_no": [k[0] for k in keys], "seq": [k[1] for k in keys]})

        def fetch(cursor: Cursor) -> list[tuple[int, int, int]]:
            cursor.register("asked", table)
            rows = cursor.execute(
                "SELECT f.stream_no, f.seq, f.crc FROM frames f JOIN (SELECT DISTINCT * FROM asked) a"
                " ON f.stream_no = a.stream_no AND f.seq = a.seq"
            ).fetchall()
            cursor.unregister("asked")
            return rows

        return {(stream_no, seq): crc for stream_no, seq, crc in self._store.read_sync(fetch)}

    def commit(self, batch: Batch) -> "Future[Committed]":
        """Project a batch in this (the decode) thread and queue its transaction; done when it is committed."""
        prepared = self._prepare(batch)
        return self._store.submit(lambda cursor: _execute(cursor, prepared, self._registry.vehicle_at))

    def _prepare(self, batch: Batch) -> _Prepared:
        retimes = [Retime(key, tuple(spans), self.timeline(*key).copy()) for key, spans in self._moved.items()]
        self._moved = {}
        projected, _ = project(batch.frames, batch.samples, self.timeline, self._registry.vehicle_at)
        for frame in batch.frames:
            key = frame.stream_no, frame.header.boot
            self._known_boots.add(key)
            timeline = self.timeline(*key)
            timeline.stored_to_ms = max(timeline.stored_to_ms, frame.header.last_ms)
        self._anchored.append(set())
        ranges = [row for rows in batch.ranges.values() for row in rows]
        return _Prepared(
            frames=_frames_table(batch),
            projected=projected,
            retimes=retimes,
            tables={
                "boots": rows_table([(s, b, q, us) for s, b, q, us in batch.boots], _BOOTS),
                "anchors": rows_table(batch.anchors, _ANCHORS),
            },
            ranges=rows_table(ranges, _RANGES),
            touched_streams=pa.table({"stream_no": pa.array(list(batch.ranges), pa.int32())}),
            streams=rows_table(batch.streams, _STREAMS),
            latest=_latest_rows(self._latest, batch.live),
            quarantined=batch.quarantined,
            batch=batch,
        )

    def _forget(self) -> None:
        """Drop the older half of the timelines, but none that holds what cannot be read again yet."""
        kept = set().union(self._moved, *self._anchored)
        for key in list(self._timelines)[: _TIMELINES_KEPT // 2]:
            if key not in kept:
                del self._timelines[key]


_US = pa.timestamp("us")
_BOOTS = pa.schema([("stream_no", pa.int32()), ("boot", pa.int32()), ("first_seq", pa.int64()), ("seen", _US)])
_ANCHORS = pa.schema(
    [
        ("stream_no", pa.int32()),
        ("boot", pa.int32()),
        ("seq", pa.int64()),
        ("boot_ms", pa.int64()),
        ("utc_ms", pa.int64()),
        ("source", pa.string()),
        ("uncertainty_ms", pa.int64()),
    ]
)
_RANGES = pa.schema(
    [
        ("stream_no", pa.int32()),
        ("state", pa.string()),
        ("first", pa.int64()),
        ("last", pa.int64()),
        ("reason", pa.string()),
    ]
)
_STREAMS = pa.schema(
    [
        ("stream_no", pa.int32()),
        ("tenant_id", pa.int32()),
        ("device_id", pa.int32()),
        ("stream_id", pa.binary()),
        ("first_seen", _US),
        ("last_seen", _US),
        ("is_active", pa.bool_()),
    ]
)
_LATEST = pa.schema(
    [
        ("tenant_id", pa.int32()),
        ("vehicle_id", pa.int32()),
        ("device_id", pa.int32()),
        ("stream_no", pa.int32()),
        ("boot", pa.int32()),
        ("seq", pa.int64()),
        ("ts", _US),
        ("state", pa.binary()),
    ]
)
_FRAMES = pa.schema(
    [
        ("tenant_id", pa.int32()),
        ("device_id", pa.int32()),
        ("stream_no", pa.int32()),
        ("seq", pa.int64()),
        ("crc", pa.uint32()),
        ("boot", pa.int32()),
        ("first_ms", pa.int64()),
        ("last_ms", pa.int64()),
        ("samples", pa.int32()),
        ("events", pa.int32()),
        ("received", _US),
        ("body", pa.binary()),
    ]
)


def _frames_table(batch: Batch) -> pa.Table:
    frames = batch.frames
    headers = [f.header for f in frames]
    columns: list[list[object]] = [
        [f.device.tenant_id for f in frames],
        [f.device.id for f in frames],
        [f.stream_no for f in frames],
        [h.seq for h in headers],
        [f.crc for f in frames],
        [h.boot for h in headers],
        [h.first_ms for h in headers],
        [h.last_ms for h in headers],
        [h.samples for h in headers],
        [h.events for h in headers],
        [f.received_us for f in frames],
        [f.data for f in frames],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _FRAMES, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_FRAMES)


def _latest_rows(table: LatestTable, live: Sequence[LiveUpdate]) -> pa.Table:
    """The vehicles that have news, as they stand after them."""
    touched: dict[int, None] = {}
    for update in live:
        touched.update(dict.fromkeys(table.apply(update)))
    heads, offsets, data = table.packed(touched)
    head = rows_table(
        [(h.tenant_id, h.vehicle_id, h.device_id, *h.order, h.ts_ms * 1000) for h in heads],
        pa.schema(list(_LATEST)[:-1]),
    )
    state = pa.Array.from_buffers(
        pa.binary(), len(heads), [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    )
    return head.append_column("state", state)


def load_latest(cursor: Cursor) -> LiveUpdate:
    """The last values of every vehicle, as stored with the last commit that touched it."""
    return unpacked(
        cursor.execute(
            "SELECT tenant_id, vehicle_id, device_id, stream_no, boot, seq, epoch_ms(ts), state FROM latest"
        ).fetchall()
    )


def _execute(cursor: Cursor, prepared: _Prepared, vehicle_at: Callable[[int, int], int | None]) -> Committed:
    # A column for each signal of the frames, also of those that wait for an anchor, and before anything else: DuckDB
    # commits none that is added after rows of its table were deleted in the same transaction.
    add_columns(cursor, occurring(prepared.batch.samples))
    retimed = {retime(cursor, item, vehicle_at) for item in prepared.retimes}
    for device_id, (stream_no, seq) in prepared.batch.late.items():
        cursor.execute("INSERT INTO rewinds (device_id, stream_no, seq) VALUES (?, ?, ?)", [device_id, stream_no, seq])
    insert_table(cursor, "frames", prepared.frames)
    insert_projected(cursor, prepared.projected)
    for name, table in prepared.tables.items():
        insert_table(cursor, name, table)
    _replace(cursor, "ledger_range", prepared.touched_streams, prepared.ranges, "stream_no")
    _replace(cursor, "streams", prepared.streams, prepared.streams, "stream_no")
    _replace(cursor, "latest", prepared.latest, prepared.latest, "vehicle_id")
    _quarantine(cursor, prepared.quarantined)
    _alerts(cursor, prepared.batch)
    return Committed(frozenset(device_id for device_id in retimed if device_id is not None))


def _replace(cursor: Cursor, name: str, touched: pa.Table, rows: pa.Table, key: str) -> None:
    if touched.num_rows == 0:
        return
    cursor.register("touched", touched)
    cursor.execute(f"DELETE FROM {name} WHERE {key} IN (SELECT {key} FROM touched)")  # noqa: S608  # names of the schema; values are bound
    cursor.unregister("touched")
    insert_table(cursor, name, rows)


def _quarantine(cursor: Cursor, rows: Sequence[QuarantineRow]) -> None:
    """One row for each distinct content; a device that sends it again only raises its count."""
    for row in rows:
        seen = cursor.execute(
            "UPDATE quarantine SET times = times + 1, last_seen = make_timestamp(?)"
            " WHERE device_id = ? AND crc = ? AND kind = ? AND body = ? RETURNING id",
            [row.received_us, row.device.id, row.crc, row.kind, row.data],
        ).fetchall()
        if not seen:
            cursor.execute(
                "INSERT INTO quarantine SELECT coalesce(max(id), 0) + 1, ?, ?, ?, ?, ?, ?, ?,"
                " make_timestamp(?), make_timestamp(?), 1, ? FROM quarantine",
                [
                    row.device.tenant_id,
                    row.device.id,
                    row.stream_no,
                    row.seq,
                    row.crc,
                    row.kind,
                    row.reason,
                    row.received_us,
                    row.received_us,
                    row.data,
                ],
            )


def _alerts(cursor: Cursor, batch: Batch) -> None:
    for alert in batch.alerts:
        place = [alert.device.tenant_id, alert.device.id, alert.kind]
        seen = cursor.execute(
            "UPDATE alerts SET times = times + 1, detail = ?, last_seen = make_timestamp(?)"
            " WHERE tenant_id = ? AND device_id = ? AND kind = ? RETURNING times",
            [alert.detail, alert.seen_us, *place],
        ).fetchall()
        if not seen:
            cursor.execute(
                "INSERT INTO alerts VALUES (?, ?, ?, ?, make_timestamp(?), make_timestamp(?), 1)",
                [*place, alert.detail, alert.seen_us, alert.seen_us],
            )
