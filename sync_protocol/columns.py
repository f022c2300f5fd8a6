"""Columns of integers <-> change mask and varints, in numpy, many columns of many frames at a time.

A *column* is a run of integers that are coded against each other: the present values of one signal in one frame, or the
instants of one group. All columns lie flat, one after the other, in one int64 array; `starts` and `counts` say where.

Order 1 codes the change against the value before, the first against the column's `prior`. Order 2 codes the change of
the change from the third value on. One mask bit for each value tells whether its code differs from 0; only those are
written, as zigzag varints of at most nine bytes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
MAX_VARINT_BYTES = 9


class Layout(NamedTuple):
    """Shape of flat columns: for each column its first index, length, prior value, and whether it is of order 2."""

    starts: Ints
    counts: Ints
    priors: Ints
    is_second: NDArray[np.bool_]

    @classmethod
    def of(cls, counts: Ints, priors: Ints, is_second: NDArray[np.bool_]) -> "Layout":
        """Layout of non-empty columns that follow each other without a gap."""
        return cls(np.cumsum(counts) - counts, counts, priors, is_second)


def to_codes(flat: Ints, layout: Layout) -> Ints:
    """Codes of all values; same shape as `flat`."""
    before = np.empty_like(flat)
    before[1:] = flat[:-1]
    before[layout.starts] = layout.priors
    change = flat - before
    if not layout.is_second.any():
        return change
    second = np.repeat(layout.is_second, layout.counts)
    second[layout.starts] = False
    second[(layout.starts + 1)[layout.counts > 1]] = False
    at = np.flatnonzero(second)
    codes = change.copy()
    codes[at] -= change[at - 1]
    return codes


def from_codes(codes: Ints, layout: Layout) -> Ints:
    """Inverse of `to_codes`. Sums wrap at 64 bits, so any codes give some values and never an error."""
    change = codes
    if layout.is_second.any():
        long = layout.is_second & (layout.counts > 2)
        starts, counts = layout.starts[long] + 1, layout.counts[long] - 1
        at = _spans(starts, counts)
        change = codes.copy()
        change[at] = _running(codes[at], np.cumsum(counts) - counts, counts, 0)
    return _running(change, layout.starts, layout.counts, layout.priors)


def _running(values: Ints, starts: Ints, counts: Ints, before: Ints | int) -> Ints:
    """Running sum inside each column, from what stood before it."""
    total: Ints = np.cumsum(values)
    total += np.repeat(before - (total[starts] - values[starts]), counts)
    return total


def _spans(starts: Ints, counts: Ints) -> Ints:
    spans: Ints = np.arange(counts.sum()) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return spans


def write_varints(values: Ints) -> bytes:
    """Zigzag varints, little end first. ValueError when a value needs more than nine bytes."""
    zigzag = ((values << 1) ^ (values >> 63)).view(np.uint64)
    lengths = np.ones(len(values), np.int64)
    for i in range(1, MAX_VARINT_BYTES):
        lengths += zigzag >= np.uint64(1 << 7 * i)
    if len(values) and int(zigzag.max()) >> 7 * MAX_VARINT_BYTES:
        raise ValueError("a change needs more than nine varint bytes")
    out = np.empty(int(lengths.sum()), np.uint8)
    ends = np.cumsum(lengths)
    starts = ends - lengths
    for i in range(int(lengths.max()) if len(values) else 0):
        at = np.flatnonzero(lengths > i)
        out[starts[at] + i] = (zigzag[at] >> np.uint64(7 * i)).astype(np.uint8) | 0x80
    out[ends - 1] &= 0x7F
    return out.tobytes()


def read_varints(data: Bytes) -> tuple[Ints, Ints]:
    """All varints in `data` and the index of each one's last byte. Longer than nine bytes: read as nine, see `lengths`.

    A last varint without an end is not returned; the caller knows how many there must be.
    """
    ends = np.flatnonzero(data < 0x80)
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    lengths = np.minimum(ends - starts + 1, MAX_VARINT_BYTES)
    zigzag = (data[starts] & 0x7F).astype(np.uint64)
    longest = int(lengths.max()) if len(ends) else 0
    for i in range(1, longest):
        at = np.flatnonzero(lengths > i)
        zigzag[at] |= (data[starts[at] + i] & 0x7F).astype(np.uint64) << np.uint64(7 * i)
    values = (zigzag >> np.uint64(1)).view(np.int64) ^ -(zigzag & np.uint64(1)).astype(np.int64)
    return values, ends
