"""The newest value of each signal that frames bring, for the live view."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cloud.facts import FrameRow, LiveUpdate, Order, Samples
from sync_protocol.signals import catalogue

UtcMs = Callable[[int, int, int], int | None]
VehicleAt = Callable[[int, int], int | None]


@cache
def _numbers() -> NDArray[np.float64]:
    """Numerator, denominator, offset by signal id, (3, ids)."""
    size = max(s.id for s in catalogue().signals) + 1
    numbers = np.ones((3, size))
    for signal in catalogue().signals:
        numbers[:, signal.id] = signal.factor.numerator, signal.factor.denominator, signal.offset
    return numbers


def newest_values(
    frames: Sequence[FrameRow], parts: Sequence[Samples], utc_ms: UtcMs, vehicle_at: VehicleAt
) -> LiveUpdate:
    """The update of the frames whose device sits in a vehicle. Frames without UTC are shown by when they arrived."""
    numbers = _numbers()
    shift_ms = np.zeros(len(frames), np.int64)
    target = np.full(len(frames), -1, np.int64)
    tenants: list[int] = []
    vehicles: list[int] = []
    devices: list[int] = []
    orders: list[Order] = []
    times: list[int] = []
    for i, row in enumerate(frames):
        header = row.header
        last_ms = header.last_ms
        end_ms = utc_ms(row.stream_no, header.boot, last_ms)
        if end_ms is None:
            end_ms = row.received_us // 1000
        shift_ms[i] = end_ms - last_ms
        vehicle_id = vehicle_at(row.device.id, end_ms * 1000)
        if vehicle_id is None:
            continue
        target[i] = len(vehicles)
        tenants.append(row.device.tenant_id)
        vehicles.append(vehicle_id)
        devices.append(row.device.id)
        orders.append(Order(row.stream_no, header.boot, header.seq))
        times.append(end_ms)
    cells = []
    for samples in parts:
        # A signal belongs to one group of a frame, whose instants rise: the last cell of a run is the newest.
        frame = samples.row_frame[samples.cell_row]
        is_last = np.ones(len(frame), np.bool_)
        signal = samples.cell_signal
        is_last[:-1] = (frame[1:] != frame[:-1]) | (signal[1:] != signal[:-1])
        cell = np.flatnonzero(is_last & (target[frame] >= 0))
        frame, signal = frame[cell], signal[cell]
        value = samples.cell_raw[cell] * numbers[0, signal] / numbers[1, signal] + numbers[2, signal]
        cells.append((target[frame], signal, value, samples.row_ms[samples.cell_row[cell]] + shift_ms[frame]))
    if not cells:
        none = np.empty(0, np.int64)
        return LiveUpdate(tenants, vehicles, devices, orders, times, none, none.astype(np.int16), np.empty(0), none)
    columns = [np.concatenate(column) for column in zip(*cells, strict=True)]
    return LiveUpdate(tenants, vehicles, devices, orders, times, *columns)
