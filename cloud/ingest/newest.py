"""The newest value of each signal that frames bring, for the live view."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from cloud.facts import FrameRow, LiveUpdate, Order, Samples
from sync_protocol.signals import catalogue

UtcMs = Callable[[int, int, int], int | None]
VehicleAt = Callable[[int, int], int | None]


@cache
def _tables() -> tuple[tuple[str, ...], np.ndarray[tuple[int, int], np.dtype[np.float64]]]:
    """Names by signal id, and numerator, denominator, offset as (3, ids)."""
    size = max(s.id for s in catalogue().signals) + 1
    names = [""] * size
    numbers = np.ones((3, size))
    for signal in catalogue().signals:
        names[signal.id] = signal.name
        numbers[:, signal.id] = signal.factor.numerator, signal.factor.denominator, signal.offset
    return tuple(names), numbers


def newest_values(
    frames: Sequence[FrameRow], parts: Sequence[Samples], utc_ms: UtcMs, vehicle_at: VehicleAt
) -> list[LiveUpdate]:
    """One update for each frame whose device sits in a vehicle. Frames without UTC are shown by when they arrived."""
    names, numbers = _tables()
    size = numbers.shape[1]
    columns: list[tuple[list[int], list[float], list[int]]] = [([], [], [])] * len(frames)
    for samples in parts:
        # A signal belongs to one group of a frame, whose instants rise: the last cell assigned is the newest.
        first = int(samples.row_frame[0])
        count = int(samples.row_frame[-1]) - first + 1
        last = np.full((count, size), -1, np.int64)
        last[samples.row_frame[samples.cell_row] - first, samples.cell_signal] = np.arange(len(samples.cell_raw))
        frame, signal = np.nonzero(last >= 0)
        cell = last[frame, signal]
        values = samples.cell_raw[cell] * numbers[0, signal] / numbers[1, signal] + numbers[2, signal]
        stops = np.searchsorted(frame, np.arange(count + 1)).tolist()
        ids, numbers_read, ms = signal.tolist(), values.tolist(), samples.row_ms[samples.cell_row[cell]].tolist()
        for i in range(count):
            part = slice(stops[i], stops[i + 1])
            columns[first + i] = (ids[part], numbers_read[part], ms[part])
    updates = []
    for row, (ids, numbers_read, ms) in zip(frames, columns, strict=True):
        header = row.header
        end_ms = utc_ms(row.stream_no, header.boot, header.last_ms)
        shift_ms = (row.received_us // 1000 if end_ms is None else end_ms) - header.last_ms
        vehicle_id = vehicle_at(row.device.id, (header.last_ms + shift_ms) * 1000)
        if vehicle_id is None:
            continue
        read = {
            names[signal_id]: (value, at + shift_ms) for signal_id, value, at in zip(ids, numbers_read, ms, strict=True)
        }
        order = Order(row.stream_no, header.boot, header.seq)
        updates.append(
            LiveUpdate(row.device.tenant_id, vehicle_id, row.device.id, order, header.last_ms + shift_ms, read)
        )
    return updates
