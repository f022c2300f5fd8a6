"""Questions about the past: series of signals, tracks, events. Every question is bounded in what it returns."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from cloud.telemetry.schema import tier_columns
from cloud.telemetry.store import Cursor
from sync_protocol.errors import Invalid
from sync_protocol.signals import Signal, catalogue

Tier = Literal["raw", "1m", "1h"]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_RAW_US = 2 * 3_600_000_000
_MINUTES_US = 14 * 86_400_000_000
_TRACK_RAW_US = 2 * 86_400_000_000
_WIDTH_MS = {"raw": 0, "1m": 60_000, "1h": 3_600_000}
# So many scans of rows for dirty buckets; what lies further apart is read with the rows in between.
_MAX_RUNS = 6
_EPOCH = datetime(1970, 1, 1)  # naive UTC, as the store has it


class Series(msgspec.Struct):
    """One signal over time. None breaks the line where nothing was read; `min`, `max` where a point stands for many."""

    signal: str
    unit: str
    ts_ms: list[int]
    value: list[float | None]
    min: list[float | None] | None
    max: list[float | None] | None


class History(msgspec.Struct):
    """Series read from one tier."""

    tier: Tier
    series: list[Series]


class Track(msgspec.Struct):
    """Positions in time."""

    ts_ms: list[int]
    lat_deg: list[float]
    lon_deg: list[float]
    speed_kmh: list[float | None]


class EventRow(msgspec.Struct):
    """An event as stored. `data` is JSON text."""

    ts_us: int
    kind: str
    data: str
    device_id: int
    stream_no: int
    seq: int
    ordinal: int


EventKey = tuple[int, int, int, int]


def timestamp(ts_us: int) -> datetime:
    """A parameter for comparing with a TIMESTAMP column; anything else would defeat pruning."""
    return _EPOCH + timedelta(microseconds=ts_us)


def tier_for(from_us: int, to_us: int) -> Tier:
    """Which tier answers for a span: rows up to two hours, minutes up to two weeks, hours beyond."""
    if to_us - from_us <= _RAW_US:
        return "raw"
    return "1m" if to_us - from_us <= _MINUTES_US else "1h"


def history(
    cursor: Cursor, tenant_id: int, vehicle_id: int, signals: Sequence[str], from_us: int, to_us: int, points: int = 800
) -> History:
    """Series of some signals from `from_us` to before `to_us`, at most about `points` points each.

    `Invalid` for an unknown signal.
    """
    known = [_signal(name) for name in signals]
    tier = tier_for(from_us, to_us)
    if tier == "raw":
        names = ", ".join(signal.name for signal in known)
        columns = cursor.execute(
            f"SELECT epoch_ms(ts) AS ts_ms, {names} FROM tel"  # noqa: S608  # names of the schema; values are bound
            " WHERE tenant_id = ? AND vehicle_id = ? AND ts >= ? AND ts < ? ORDER BY ts",
            [tenant_id, vehicle_id, timestamp(from_us), timestamp(to_us)],
        ).fetchnumpy()
        parts = [(columns[signal.name],) * 3 for signal in known]
    else:
        columns = _tier(cursor, tier, tenant_id, vehicle_id, known, from_us, to_us)
        parts = [
            (columns[last], columns[smallest], columns[largest])
            for smallest, largest, last in (tier_columns(signal) for signal in known)
        ]
    ts_ms = columns["ts_ms"].astype(np.int64)
    series = [
        _series(signal, ts_ms, *three, (from_us // 1000, to_us // 1000), points, _WIDTH_MS[tier])
        for signal, three in zip(known, parts, strict=True)
    ]
    return History(tier, series)


def _signal(name: str) -> Signal:
    signal = catalogue().by_name.get(name)
    if signal is None:
        raise Invalid(f"signal {name!r} is not in the catalogue")
    return signal


def _tier(
    cursor: Cursor, tier: Tier, tenant_id: int, vehicle_id: int, signals: Sequence[Signal], from_us: int, to_us: int
) -> dict[str, NDArray[np.generic]]:
    """Buckets of a tier, those with a dirty minute made from `tel` on the spot."""
    width_us = _WIDTH_MS[tier] * 1000
    triples = [tier_columns(signal) for signal in signals]
    names = "".join(f", {column}" for triple in triples for column in triple)
    place = [tenant_id, vehicle_id]
    asked = [*place, timestamp(from_us // width_us * width_us), timestamp(to_us)]
    clean = (
        f"SELECT epoch_ms(bucket) AS ts_ms{names} FROM tel_{tier}"  # noqa: S608  # names of the schema; values are bound
        " WHERE tenant_id = ? AND vehicle_id = ? AND bucket >= ? AND bucket < ?"
    )
    # Asked apart: as a part of one statement the dirty buckets would keep the scans from being pruned. What is
    # built in between is made from `tel` all the same.
    minutes = cursor.execute(
        "SELECT epoch_us(bucket) FROM dirty WHERE tenant_id = ? AND vehicle_id = ? AND bucket >= ? AND bucket < ?",
        asked,
    ).fetchall()
    dirty = sorted({minute // width_us * width_us for (minute,) in minutes})
    if not dirty:
        return cursor.execute(clean + " ORDER BY ts_ms", asked).fetchnumpy()
    made = "".join(
        f", min({s.name}) AS {triple[0]}, max({s.name}) AS {triple[1]}, arg_max({s.name}, ts) AS {triple[2]}"
        for s, triple in zip(signals, triples, strict=True)
    )
    fresh = (
        f" UNION ALL SELECT epoch_ms(time_bucket(to_microseconds({width_us}), ts)) AS ts_ms{made} FROM tel"  # noqa: S608  # names of the schema; values are bound
        " WHERE tenant_id = ? AND vehicle_id = ? AND ts >= ? AND ts < ? GROUP BY ts_ms HAVING ts_ms IN"
        " (SELECT unnest(?))"
    )
    runs = _runs(dirty, width_us)
    arguments: list[object] = [*asked, [timestamp(us) for us in dirty]]
    for first, last in runs:
        here = [us // 1000 for us in dirty if first <= us <= last]
        arguments += [*place, timestamp(first), timestamp(last + width_us), here]
    sql = clean + " AND bucket NOT IN (SELECT unnest(?))" + fresh * len(runs)
    return cursor.execute(sql + " ORDER BY ts_ms", arguments).fetchnumpy()


def _runs(buckets: Sequence[int], width_us: int) -> list[tuple[int, int]]:
    """Ascending buckets as at most `_MAX_RUNS` stretches (first, last) of the fewest buckets in between."""
    gaps = sorted(((b - a, b) for a, b in pairwise(buckets) if b - a > width_us), reverse=True)[: _MAX_RUNS - 1]
    starts = [buckets[0], *sorted(begin for _, begin in gaps)]
    ends = [max(us for us in buckets if us < start) for start in starts[1:]] + [buckets[-1]]
    return list(zip(starts, ends, strict=True))


def _series(
    signal: Signal,
    ts_ms: Ints,
    last: NDArray[np.generic],
    smallest: NDArray[np.generic],
    largest: NDArray[np.generic],
    span_ms: tuple[int, int],
    points: int,
    width_ms: int,
) -> Series:
    is_read = ~np.ma.getmaskarray(last)
    ts = ts_ms[is_read]
    value, low, high = (np.ma.getdata(column)[is_read].astype(np.float64) for column in (last, smallest, largest))
    is_reduced = width_ms > 0
    pixel_ms = max(1, (span_ms[1] - span_ms[0]) // max(1, points))
    if len(ts) > points:
        pixel = (ts - span_ms[0]) // pixel_ms
        starts = np.flatnonzero(np.diff(pixel, prepend=pixel[0] - 1))
        ends = np.append(starts[1:], len(ts)) - 1
        low, high = np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)
        ts, value = ts[ends], value[ends]
        is_reduced, width_ms = True, max(width_ms, pixel_ms)
    # The line breaks where the signal was missing for longer than it stays believable.
    gap_ms = max(signal.stale_s * 1000, 2.5 * signal.period_s * 1000, 2.5 * width_ms)
    breaks = np.flatnonzero(np.diff(ts) > gap_ms) + 1
    return Series(
        signal.name,
        signal.unit,
        np.insert(ts, breaks, ts[breaks - 1] + 1).tolist() if len(breaks) else ts.tolist(),
        _broken(value, breaks),
        _broken(low, breaks) if is_reduced else None,
        _broken(high, breaks) if is_reduced else None,
    )


def _broken(values: Floats, breaks: Ints) -> list[float | None]:
    out: list[float | None] = values.tolist()
    for at in reversed(breaks.tolist()):
        out.insert(at, None)
    return out


def track(cursor: Cursor, tenant_id: int, vehicle_id: int, from_us: int, to_us: int, points: int = 2000) -> Track:
    """Where a vehicle was, at most `points` positions that keep the shape of the way."""
    arguments = [tenant_id, vehicle_id, timestamp(from_us), timestamp(to_us)]
    if to_us - from_us <= _TRACK_RAW_US:
        columns = cursor.execute(
            "SELECT epoch_ms(ts) AS ts_ms, lat_deg, lon_deg, coalesce(gps_speed_kmh, speed_kmh::FLOAT) AS speed"
            " FROM tel WHERE tenant_id = ? AND vehicle_id = ? AND ts >= ? AND ts < ? AND lat_deg IS NOT NULL"
            " AND lon_deg IS NOT NULL ORDER BY ts",
            arguments,
        ).fetchnumpy()
    else:
        columns = cursor.execute(
            "SELECT epoch_ms(bucket) AS ts_ms, lat_deg_last AS lat_deg, lon_deg_last AS lon_deg,"
            " coalesce(gps_speed_kmh_last, speed_kmh_last::FLOAT) AS speed FROM tel_1m"
            " WHERE tenant_id = ? AND vehicle_id = ? AND bucket >= ? AND bucket < ? AND lat_deg_last IS NOT NULL"
            " AND lon_deg_last IS NOT NULL ORDER BY bucket",
            arguments,
        ).fetchnumpy()
    lat, lon = np.ma.getdata(columns["lat_deg"]), np.ma.getdata(columns["lon_deg"])
    kept = _shape(lat, lon, points)
    speed = columns["speed"][kept].astype(np.float64)
    return Track(
        columns["ts_ms"][kept].tolist(),
        lat[kept].tolist(),
        lon[kept].tolist(),
        np.ma.asarray(speed).tolist(),
    )


def _shape(lat: Floats, lon: Floats, points: int) -> Ints:
    """Indices of at most `points` positions: of each run of equal length the one that bends the way most."""
    count = len(lat)
    if count <= max(points, 3):
        return np.arange(count)
    edges = np.linspace(1, count - 1, max(points, 3) - 1).astype(np.int64)
    starts, sizes = edges[:-1], np.diff(edges)
    mean_lat = np.concatenate(([lat[0]], np.add.reduceat(lat[: edges[-1]], starts) / sizes, [lat[-1]]))
    mean_lon = np.concatenate(([lon[0]], np.add.reduceat(lon[: edges[-1]], starts) / sizes, [lon[-1]]))
    run = np.repeat(np.arange(len(starts)), sizes)
    chord_lat, chord_lon = (mean_lat[2:] - mean_lat[:-2])[run], (mean_lon[2:] - mean_lon[:-2])[run]
    inner = slice(1, edges[-1])
    bend = np.abs((lat[inner] - mean_lat[:-2][run]) * chord_lon - (lon[inner] - mean_lon[:-2][run]) * chord_lat)
    order = np.lexsort((bend, run))
    best = order[np.cumsum(sizes) - 1] + 1
    return np.concatenate(([0], best, [count - 1]))


def events(
    cursor: Cursor,
    tenant_id: int,
    vehicle_id: int,
    from_us: int,
    to_us: int,
    *,
    kinds: Sequence[str] | None = None,
    limit: int = 100,
    before: EventKey | None = None,
) -> list[EventRow]:
    """Events of a vehicle, newest first. Page on with the last row's (ts_us, stream_no, seq, ordinal) as `before`."""
    where = "tenant_id = ? AND vehicle_id = ? AND ts >= ? AND ts < ?"
    arguments: list[object] = [tenant_id, vehicle_id, timestamp(from_us), timestamp(to_us)]
    if kinds is not None:
        where += f" AND kind IN ({', '.join('?' for _ in kinds)})" if kinds else " AND false"
        arguments += kinds
    if before is not None:
        where += " AND ts <= ? AND (epoch_us(ts), stream_no, seq, ordinal) < (?, ?, ?, ?)"
        arguments += [timestamp(before[0]), *before]
    rows = cursor.execute(
        f"SELECT epoch_us(ts), kind, data, device_id, stream_no, seq, ordinal FROM events WHERE {where}"  # noqa: S608  # names of the schema; values are bound
        " ORDER BY ts DESC, stream_no DESC, seq DESC, ordinal DESC LIMIT ?",
        [*arguments, limit],
    ).fetchall()
    return [EventRow(*row) for row in rows]
