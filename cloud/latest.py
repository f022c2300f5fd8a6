"""The newest value of every signal of every vehicle, as arrays: ingest brings a thousand frames a second.

The telemetry store keeps one of these to persist, the live hub one to show.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud.facts import LiveUpdate, Order
from sync_protocol.signals import catalogue

Ints = NDArray[np.int64]
CELL = np.dtype([("signal", "<i2"), ("value", "<f8"), ("ts_ms", "<i8")])
"""One value as it is packed for the store."""


_FRAME_MS = 10_000


class Latest(NamedTuple):
    """One vehicle as it is now: {signal name: (value in its unit, ts_ms)}."""

    tenant_id: int
    vehicle_id: int
    device_id: int
    order: Order
    ts_ms: int
    values: dict[str, tuple[float, int]]


@cache
def signal_names() -> tuple[str, ...]:
    """Names by signal id, empty where there is none."""
    names = [""] * (max(s.id for s in catalogue().signals) + 1)
    for signal in catalogue().signals:
        names[signal.id] = signal.name
    return tuple(names)


@cache
def holds_ms(name: str) -> int:
    """How old a signal's value may be and still be told as what is: its staleness, plus the period of a frame."""
    return int(catalogue().by_name[name].stale_s * 1000) + _FRAME_MS


class LatestTable:
    """A row a vehicle, a column a signal id. `version` counts updates, so that a reader can ask what changed since."""

    def __init__(self) -> None:
        self._row_of: dict[int, int] = {}
        self._tenant: list[int] = []
        self._device: list[int] = []
        self._order: list[Order] = []
        self._ts_ms: list[int] = []
        self._vehicle: list[int] = []
        self._resize(64)
        self.version = 0

    def _resize(self, rows: int) -> None:
        width = len(signal_names())
        old = len(self._vehicle)
        for name, dtype in (("_values", np.float64), ("_times", np.int64), ("_versions", np.int64)):
            grown = np.zeros((rows, width), dtype)
            if old:
                grown[:old] = getattr(self, name)[:old]
            setattr(self, name, grown)

    _values: NDArray[np.float64]
    _times: Ints
    _versions: Ints

    def __contains__(self, vehicle_id: int) -> bool:
        return vehicle_id in self._row_of

    def __iter__(self) -> Iterator[int]:
        """Ids of all vehicles."""
        return iter(self._row_of)

    def apply(self, update: LiveUpdate) -> list[int]:
        """Take in what frames brought. Returns the vehicles that have news.

        A frame earlier than what is known only fills in signals never heard of. Order, never time, tells earlier.
        """
        self.version += 1
        rows = np.empty(len(update.vehicle_ids), np.int64)
        is_late = np.zeros(len(rows), np.bool_)
        fresh: dict[int, None] = {}
        for i, (vehicle_id, device_id, order) in enumerate(
            zip(update.vehicle_ids, update.device_ids, update.orders, strict=True)
        ):
            row = self._row_of.get(vehicle_id)
            if row is None:
                row = self._add(update.tenant_ids[i], vehicle_id)
            elif order <= self._order[row] and device_id == self._device[row]:
                is_late[i] = True
                rows[i] = row
                continue
            rows[i] = row
            self._device[row], self._order[row], self._ts_ms[row] = device_id, order, update.ts_ms[i]
            fresh[vehicle_id] = None
        at, signal, value, ts_ms = rows[update.cell_frame], update.cell_signal, update.cell_value, update.cell_ms
        if is_late.any():
            late = is_late[update.cell_frame]
            unheard = late & (self._times[at, signal] == 0)
            self._put(at[unheard], signal[unheard], value[unheard], ts_ms[unheard])
            at, signal, value, ts_ms = at[~late], signal[~late], value[~late], ts_ms[~late]
        self._put(at, signal, value, ts_ms)
        return list(fresh)

    def _put(self, row: Ints, signal: NDArray[np.int16], value: NDArray[np.float64], ts_ms: Ints) -> None:
        self._values[row, signal] = value
        self._times[row, signal] = ts_ms
        self._versions[row, signal] = self.version

    def _add(self, tenant_id: int, vehicle_id: int) -> int:
        row = len(self._vehicle)
        if row == len(self._values):
            self._resize(row * 2)
        self._row_of[vehicle_id] = row
        self._vehicle.append(vehicle_id)
        self._tenant.append(tenant_id)
        self._device.append(0)
        self._order.append(Order(0, 0, 0))
        self._ts_ms.append(0)
        return row

    def tenant(self, vehicle_id: int) -> int:
        """Whose vehicle it is."""
        return self._tenant[self._row_of[vehicle_id]]

    def ts_ms(self, vehicle_id: int) -> int:
        """When the vehicle was last heard of."""
        return self._ts_ms[self._row_of[vehicle_id]]

    def value(self, vehicle_id: int, signal_id: int) -> tuple[float, int] | None:
        """One value and its time, None when it was never read."""
        row = self._row_of[vehicle_id]
        ts_ms = int(self._times[row, signal_id])
        return (float(self._values[row, signal_id]), ts_ms) if ts_ms else None

    def read_between(self, signal_id: int, after_ms: int, up_to_ms: int) -> list[int]:
        """Vehicles whose newest value of a signal is of a time after the one and up to the other."""
        times = self._times[: len(self._vehicle), signal_id]
        return [self._vehicle[row] for row in np.flatnonzero((times > after_ms) & (times <= up_to_ms)).tolist()]

    def columns(self, vehicle_ids: Sequence[int], signal_ids: Sequence[int]) -> tuple[Ints, NDArray[np.float64], Ints]:
        """Of vehicles that are known: (N,) when each was last heard of, (N, S) values and their times, 0 for never."""
        rows = np.array([self._row_of[v] for v in vehicle_ids], np.int64)
        at = rows[:, None], np.array(signal_ids, np.int64)[None, :]
        return np.array([self._ts_ms[row] for row in rows.tolist()], np.int64), self._values[at], self._times[at]

    def values_since(self, vehicle_id: int, version: int) -> dict[str, float]:
        """The values that changed after a version, by name; all of them after version 0."""
        row = self._row_of[vehicle_id]
        signals = np.flatnonzero(self._versions[row] > version)
        names = signal_names()
        return {names[i]: v for i, v in zip(signals.tolist(), self._values[row, signals].tolist(), strict=True)}

    def get(self, vehicle_id: int) -> Latest | None:
        """Everything about one vehicle."""
        row = self._row_of.get(vehicle_id)
        if row is None:
            return None
        names = signal_names()
        signals = np.flatnonzero(self._times[row])
        reads = zip(
            signals.tolist(), self._values[row, signals].tolist(), self._times[row, signals].tolist(), strict=True
        )
        values = {names[i]: (value, ts_ms) for i, value, ts_ms in reads}
        return Latest(self._tenant[row], vehicle_id, self._device[row], self._order[row], self._ts_ms[row], values)

    def packed(self, vehicle_ids: Iterable[int]) -> tuple[list[Latest], Ints, bytes]:
        """Vehicles for the store: who and when (without values), and their cells packed one after the other.

        Returns rows, offsets (one more than rows) in bytes, and the bytes.
        """
        rows = np.array([self._row_of[v] for v in vehicle_ids], np.int64)
        heads = [
            Latest(self._tenant[r], self._vehicle[r], self._device[r], self._order[r], self._ts_ms[r], {})
            for r in rows.tolist()
        ]
        times = self._times[rows]
        at, signal = np.nonzero(times)
        cells = np.empty(len(at), CELL)
        cells["signal"], cells["ts_ms"], cells["value"] = signal, times[at, signal], self._values[rows[at], signal]
        offsets = np.searchsorted(at, np.arange(len(rows) + 1)) * CELL.itemsize
        return heads, offsets, cells.tobytes()


def unpacked(rows: Iterable[tuple[int, int, int, int, int, int, int, bytes]]) -> LiveUpdate:
    """Rows of the store (tenant, vehicle, device, stream, boot, seq, ts_ms, cells) as one update."""
    tenants, vehicles, devices, orders, times, cells, frames = [], [], [], [], [], [], []
    for i, (tenant, vehicle, device, stream, boot, seq, ts_ms, data) in enumerate(rows):
        part = np.frombuffer(data, CELL)
        part = part[part["signal"] < len(signal_names())]
        tenants.append(tenant)
        vehicles.append(vehicle)
        devices.append(device)
        orders.append(Order(stream, boot, seq))
        times.append(ts_ms)
        cells.append(part)
        frames.append(np.full(len(part), i, np.int64))
    joined = np.concatenate(cells) if cells else np.empty(0, CELL)
    frame = np.concatenate(frames) if frames else np.empty(0, np.int64)
    return LiveUpdate(
        tenants,
        vehicles,
        devices,
        orders,
        times,
        frame,
        joined["signal"].astype(np.int16),
        joined["value"].astype(np.float64),
        joined["ts_ms"].astype(np.int64),
    )
