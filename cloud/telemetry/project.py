"""Frames to rows: samples in long form become wide Arrow columns with UTC, one row for each instant of a frame."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
import pyarrow as pa

from cloud.facts import FrameRow, Samples
from cloud.telemetry.timeline import Timeline
from sync_protocol.signals import Signal, catalogue

VehicleAt = Callable[[int, int], int | None]
TimelineOf = Callable[[int, int], Timeline]

_MIN_US = 946_684_800_000_000  # 2000
_MAX_US = 4_102_444_800_000_000  # 2100
_MAX_RAW = 1 << 40  # beyond it the product with the numerator might wrap into range
_NUMPY_TYPES: dict[str, tuple[type[np.generic], pa.DataType]] = {
    "boolean": (np.bool_, pa.bool_()),
    "uint8": (np.uint8, pa.uint8()),
    "uint16": (np.uint16, pa.uint16()),
    "uint32": (np.uint32, pa.uint32()),
    "int16": (np.int16, pa.int16()),
    "float": (np.float32, pa.float32()),
    "double": (np.float64, pa.float64()),
}
_json = msgspec.json.Encoder(enc_hook=str)


class Projected(NamedTuple):
    """Arrow tables ready to insert; columns of `tel` are those of the signals that occur."""

    tel: pa.Table
    marks: pa.Table
    events: pa.Table
    touched: pa.Table
    """(tenant_id, vehicle_id, bucket): the minutes that got rows."""


@cache
def _numerics() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Numerator, denominator and offset of each signal, by id."""
    size = max(s.id for s in catalogue().signals) + 1
    tables = np.zeros(size), np.ones(size), np.zeros(size)
    for signal in catalogue().signals:
        tables[0][signal.id] = signal.factor.numerator
        tables[1][signal.id] = signal.factor.denominator
        tables[2][signal.id] = signal.offset
    return tables


def to_values(signal_ids: NDArray[np.int16] | int, raw: NDArray[np.int64]) -> NDArray[np.float64]:
    """Raw integers to values in their unit; same shape as `raw`."""
    numerator, denominator, offset = _numerics()
    values: NDArray[np.float64] = raw * numerator[signal_ids]
    values /= denominator[signal_ids]
    values += offset[signal_ids]
    return values


def project(
    frames: Sequence[FrameRow], samples: Samples, timeline_of: TimelineOf, vehicle_at: VehicleAt
) -> tuple[Projected, list[int]]:
    """Rows of the frames whose boot is anchored; also the positions of the frames that must wait for an anchor.

    `samples.row_frame` are positions in `frames`. A sample whose value its column's type cannot hold is left null.
    """
    count = len(frames)
    has_time = np.zeros(count, np.bool_)
    shift_ms = np.zeros(count, np.int64)
    vehicle = np.full(count, -1, np.int64)
    waiting: list[int] = []
    turning: list[int] = []
    moving: list[int] = []
    timelines: list[Timeline] = []
    for i, frame in enumerate(frames):
        header, device_id = frame.header, frame.device.id
        timeline = timeline_of(frame.stream_no, header.boot)
        timelines.append(timeline)
        shift = timeline.constant(header.first_ms, header.last_ms)
        if shift is not None:
            shift_ms[i] = shift
            begin, end = _clip_us(header.first_ms + shift), _clip_us(header.last_ms + shift)
        elif timeline.is_anchored:
            turning.append(i)
            begin, end = (_clip_us(timeline.utc_ms(ms)) for ms in (header.first_ms, header.last_ms))
        else:
            waiting.append(i)
            continue
        has_time[i] = True
        found = vehicle_at(device_id, begin)
        if found is not None:
            vehicle[i] = found
        if vehicle_at(device_id, end) != found:
            moving.append(i)
    ts_us = samples.row_ms + shift_ms[samples.row_frame]
    for i in turning:
        rows = _rows_of(samples, i)
        ts_us[rows] = timelines[i].project(samples.row_ms[rows])
    ts_us *= 1000
    np.clip(ts_us, _MIN_US, _MAX_US, out=ts_us)
    place = _Places(frames)
    of_row = vehicle[samples.row_frame]
    for i in moving:
        rows = _rows_of(samples, i)
        seats = [vehicle_at(frames[i].device.id, us) for us in ts_us[rows].tolist()]
        of_row[rows] = [-1 if seat is None else seat for seat in seats]
    tel, touched = _wide(samples, ts_us, of_row, has_time, place)
    marks, events = _meta(frames, timelines, has_time, vehicle_at)
    return Projected(tel, marks, events, touched), waiting


def occurring(samples: Samples) -> list[Signal]:
    """The signals that have samples, also in frames that wait for an anchor."""
    counts = np.bincount(samples.cell_signal) if len(samples.cell_signal) else np.empty(0, np.int64)
    return [catalogue().by_id[signal_id] for signal_id in np.flatnonzero(counts).tolist()]


def _rows_of(samples: Samples, frame: int) -> slice:
    first, last = np.searchsorted(samples.row_frame, (frame, frame + 1))
    return slice(int(first), int(last))


class _Places:
    """Identity columns of frames, to be taken by row."""

    def __init__(self, frames: Sequence[FrameRow]) -> None:
        self.tenant = np.array([f.device.tenant_id for f in frames], np.int32)
        self.device = np.array([f.device.id for f in frames], np.int32)
        self.stream = np.array([f.stream_no for f in frames], np.int32)
        self.boot = np.array([f.header.boot for f in frames], np.int32)
        self.seq = np.array([f.header.seq for f in frames], np.int64)


def _wide(
    samples: Samples,
    ts_us: NDArray[np.int64],
    vehicle: NDArray[np.int64],
    has_time: NDArray[np.bool_],
    place: _Places,
) -> tuple[pa.Table, pa.Table]:
    """Merge the rows of a frame that share an instant, spread cells over columns."""
    # Rows lie in frame order, and each group's instants rise: one key that is nearly sorted already.
    order = np.argsort(_rising_key(samples), kind="stable")
    if not has_time.all():
        order = order[has_time[samples.row_frame[order]]]
    frame, ms = samples.row_frame[order], samples.row_ms[order]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (frame[1:] != frame[:-1]) | (ms[1:] != ms[:-1])
    row_of = np.full(len(samples.row_ms), -1, np.int64)
    row_of[order] = np.cumsum(is_new.astype(np.int64)) - 1
    first_of = order[np.flatnonzero(is_new)]
    size = len(first_of)
    frame = samples.row_frame[first_of]
    is_seated = vehicle[first_of] >= 0
    names = ["tenant_id", "vehicle_id", "device_id", "stream_no", "boot", "seq", "ts"]
    columns: list[pa.Array] = [
        pa.array(place.tenant[frame]),
        pa.array(vehicle[first_of].astype(np.int32), mask=~is_seated),
        pa.array(place.device[frame]),
        pa.array(place.stream[frame]),
        pa.array(place.boot[frame]),
        pa.array(place.seq[frame]),
        pa.array(ts_us[first_of].view("datetime64[us]")),
    ]
    for signal, present, raw in _spread(samples, row_of, size):
        names.append(signal.name)
        columns.append(_column(signal, present, raw))
    return pa.Table.from_arrays(columns, names), _touched(
        place.tenant[frame][is_seated], vehicle[first_of][is_seated], ts_us[first_of][is_seated]
    )


def _rising_key(samples: Samples) -> NDArray[np.int64]:
    """Orders rows by frame, then by instant. A frame spans less than 2**32 ms."""
    frame, ms = samples.row_frame, samples.row_ms
    if not len(ms):
        return ms
    starts = np.flatnonzero(np.diff(frame, prepend=-1))
    lowest = np.minimum.reduceat(ms, starts)
    base = (frame[starts].astype(np.int64) << 32) - lowest
    return ms + np.repeat(base, np.diff(starts, append=len(ms)))


def _spread(
    samples: Samples, row_of: NDArray[np.int64], size: int
) -> Iterator[tuple[Signal, NDArray[np.bool_], NDArray[np.int64]]]:
    """Cells to columns of `size` rows: for each signal that occurs, which rows have it, and the raw values (else 0)."""
    row, signal, raw = row_of[samples.cell_row], samples.cell_signal, samples.cell_raw
    if len(row) and row.min() < 0:
        kept = np.flatnonzero(row >= 0)
        row, signal, raw = row[kept], signal[kept], raw[kept]
    ids = np.flatnonzero(np.bincount(signal)) if len(signal) else np.empty(0, np.int64)
    place_of = np.zeros(int(ids[-1]) + 1 if len(ids) else 0, np.int64)
    place_of[ids] = np.arange(len(ids)) * size
    # One scatter into all columns at once: sorting the cells by signal first takes three times as long.
    at = place_of[signal] + row
    present = np.zeros((len(ids), size), np.bool_)
    present.reshape(-1)[at] = True
    spread = np.zeros((len(ids), size), np.int64)
    spread.reshape(-1)[at] = raw
    for i, signal_id in enumerate(ids.tolist()):
        yield catalogue().by_id[signal_id], present[i], spread[i]


def _touched(tenant: NDArray[np.int32], vehicle: NDArray[np.int64], ts_us: NDArray[np.int64]) -> pa.Table:
    """The distinct minutes of vehicles that rows fall in."""
    # One integer a row is far cheaper to make unique than three columns; a vehicle has one tenant.
    _, at = np.unique(vehicle << 32 | ts_us // 60_000_000, return_index=True)
    return pa.table(
        {
            "tenant_id": pa.array(tenant[at]),
            "vehicle_id": pa.array(vehicle[at].astype(np.int32)),
            "bucket": pa.array((ts_us[at] // 60_000_000 * 60_000_000).view("datetime64[us]")),
        }
    )


def _column(signal: Signal, present: NDArray[np.bool_], raw: NDArray[np.int64]) -> pa.Array:
    """One Arrow column; what its type cannot hold is null."""
    dtype, arrow = _NUMPY_TYPES[signal.type]
    if signal.type in ("float", "double"):
        column = to_values(signal.id, raw).astype(dtype)
    else:
        values = _whole(raw, signal)
        low, high = (0, 1) if dtype is np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)  # type: ignore[type-var]  # an integer type here
        fits = (values >= low) & (values <= high) & (raw > -_MAX_RAW) & (raw < _MAX_RAW)
        if not fits.all():
            present = present & fits
        column = values.astype(dtype)
    data = np.packbits(column, bitorder="little") if dtype is np.bool_ else column
    valid = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(arrow, len(column), [valid, pa.py_buffer(data)])


def _whole(raw: NDArray[np.int64], signal: Signal) -> NDArray[np.int64]:
    """`to_values` in integers, without the steps that change nothing: numpy's division is slow."""
    values = raw
    if signal.factor.numerator != 1:
        values = values * signal.factor.numerator
    if signal.factor.denominator != 1:
        values = values // signal.factor.denominator
    return values + int(signal.offset) if signal.offset else values


_PLACE_FIELDS = [
    ("tenant_id", pa.int32()),
    ("vehicle_id", pa.int32()),
    ("device_id", pa.int32()),
    ("stream_no", pa.int32()),
    ("boot", pa.int32()),
    ("seq", pa.int64()),
]
MARKS_SCHEMA = pa.schema(
    [
        *_PLACE_FIELDS,
        ("signal_id", pa.int16()),
        ("first", pa.timestamp("us")),
        ("last", pa.timestamp("us")),
        ("kind", pa.string()),
    ]
)
EVENTS_SCHEMA = pa.schema(
    [
        *_PLACE_FIELDS,
        ("ordinal", pa.int32()),
        ("boot_ms", pa.int64()),
        ("ts", pa.timestamp("us")),
        ("kind", pa.string()),
        ("data", pa.string()),
    ]
)


def _meta(
    frames: Sequence[FrameRow], timelines: Sequence[Timeline], has_time: NDArray[np.bool_], vehicle_at: VehicleAt
) -> tuple[pa.Table, pa.Table]:
    marks: list[tuple[object, ...]] = []
    events: list[tuple[object, ...]] = []
    for i, frame in enumerate(frames):
        meta = frame.meta
        if not (meta.marks or meta.events) or not has_time[i]:
            continue
        header, device, timeline = frame.header, frame.device, timelines[i]
        for mark in meta.marks:
            first, last = (_clip_us(timeline.utc_ms(_clip_ms(ms))) for ms in (mark.first_ms, mark.last_ms))
            vehicle = vehicle_at(device.id, first)
            place = (device.tenant_id, vehicle, device.id, frame.stream_no, header.boot, header.seq)
            marks.append((*place, _clip_id(mark.signal_id), first, last, mark.kind))
        for ordinal, event in enumerate(meta.events):
            boot_ms = _clip_ms(event.boot_ms)
            ts = _clip_us(timeline.utc_ms(boot_ms))
            vehicle = vehicle_at(device.id, ts)
            place = (device.tenant_id, vehicle, device.id, frame.stream_no, header.boot, header.seq)
            data = _json.encode(event.data).decode()
            events.append((*place, ordinal, boot_ms, ts, event.kind, data))
    return rows_table(marks, MARKS_SCHEMA), rows_table(events, EVENTS_SCHEMA)


def rows_table(rows: Sequence[Sequence[object]], schema: pa.Schema) -> pa.Table:
    """Tuples to an Arrow table."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def _clip_ms(boot_ms: int) -> int:
    """A frame's meta may say anything; device time has 48 bits."""
    return min(max(boot_ms, 0), (1 << 48) - 1)


def _clip_id(signal_id: int) -> int:
    return min(max(signal_id, -1), 32_767)


def _clip_us(utc_ms: int | None) -> int:
    return min(max((utc_ms or 0) * 1000, _MIN_US), _MAX_US)
