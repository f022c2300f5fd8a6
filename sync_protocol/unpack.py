"""Parsed frames -> values: undoes masks, varints and differences of many frames in one run of numpy calls."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sync_protocol.body import Parsed
from sync_protocol.columns import MAX_VARINT_BYTES, Ints, Layout, from_codes, read_varints


class Cells(NamedTuple):
    """Samples of several frames in long form; see `codec.Chunk`."""

    row_frame: NDArray[np.int32]
    row_ms: Ints
    cell_row: NDArray[np.int32]
    cell_signal: NDArray[np.int16]
    cell_raw: Ints


class Columns(NamedTuple):
    """All columns of several frames, flat, and what is wrong with which frame (position, reason).

    is_time: which values are instants. With anything in `bad` the values mean nothing.
    """

    parsed: Sequence[Parsed]
    flat: Ints
    is_time: NDArray[np.bool_]
    bad: list[tuple[int, str]]

    def to_cells(self) -> Cells:
        """Long form: the instants of every group become rows, every other value a cell of its row."""
        parsed = self.parsed
        rows = np.array([p.rows for p in parsed], np.int64)
        cells = np.array([p.header.samples for p in parsed], np.int64)
        row_ms = self.flat[np.flatnonzero(self.is_time)]
        row_ms += np.repeat(np.array([p.header.first_ms for p in parsed], np.int64), rows)
        cell_row = np.concatenate([p.grid.cell_row for p in parsed])
        cell_row += np.repeat((np.cumsum(rows) - rows).astype(np.int32), cells)
        return Cells(
            np.repeat(np.arange(len(parsed), dtype=np.int32), rows),
            row_ms,
            cell_row,
            np.concatenate([p.grid.cell_signal for p in parsed]),
            self.flat[np.flatnonzero(~self.is_time)],
        )


def decode_columns(parsed: Sequence[Parsed]) -> Columns:
    """Undo masks, varints and differences of many frames at once. Frames that do not add up are named in `bad`."""
    if not parsed:
        return Columns(parsed, np.empty(0, np.int64), np.empty(0, np.bool_), [])
    grids = [p.grid for p in parsed]
    layout = Layout.of(
        np.concatenate([g.counts for g in grids]),
        np.concatenate([g.priors for g in grids]),
        np.concatenate([g.is_second for g in grids]),
    )
    is_time = np.concatenate([g.is_time for g in grids])
    codes, bad = _codes(parsed, layout)
    if bad:
        return Columns(parsed, codes, is_time, bad)
    flat = from_codes(codes, layout)
    return Columns(parsed, flat, is_time, _disordered(parsed, flat, layout, is_time))


def _codes(parsed: Sequence[Parsed], layout: Layout) -> tuple[Ints, list[tuple[int, str]]]:
    """Codes of all columns, zeros included; or nothing, and the frames whose masks and varints disagree."""
    # Index arrays rather than masks to select by: on data like these numpy is several times faster with them.
    columns = np.array([len(p.grid.counts) for p in parsed], np.int64)
    first, moves = _column_masks(parsed, columns, layout)
    masked = _sums(np.where(moves, layout.counts - 1, 0), columns)
    sizes = np.array([len(p.rest) for p in parsed], np.int64)
    mask_bytes = (masked + 7) // 8
    if (mask_bytes > sizes).any():
        return np.empty(0, np.int64), [(int(i), "change mask ends early") for i in np.flatnonzero(mask_bytes > sizes)]
    ends = mask_bytes.tolist()
    bits = _bits(b"".join([p.rest[:end] for p, end in zip(parsed, ends, strict=True)]), masked)
    varints = np.frombuffer(b"".join([p.rest[end:] for p, end in zip(parsed, ends, strict=True)]), np.uint8)
    is_masked = np.repeat(moves, layout.counts)
    is_masked[layout.starts] = False
    has_changed = np.zeros(len(is_masked), np.bool_)
    has_changed[np.flatnonzero(is_masked)[np.flatnonzero(bits)]] = True
    has_changed[layout.starts[np.flatnonzero(first)]] = True
    changed = np.flatnonzero(has_changed)
    stops = np.cumsum([len(p.grid.is_time) for p in parsed])
    expected = np.diff(np.searchsorted(changed, stops), prepend=0)
    values, is_wrong = _varints_of(varints, sizes - mask_bytes, expected)
    if is_wrong.any():
        return np.empty(0, np.int64), [(int(i), "varints do not match the mask") for i in np.flatnonzero(is_wrong)]
    codes = np.zeros(len(has_changed), np.int64)
    codes[changed] = values
    return codes, []


def _varints_of(data: NDArray[np.uint8], sizes: Ints, expected: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """All varints, and which frames have not exactly the expected number of them in their `sizes` bytes."""
    values, ends = read_varints(data)
    stops = np.cumsum(sizes)
    is_wrong = np.diff(np.searchsorted(ends, stops), prepend=0) != expected
    some = np.flatnonzero(sizes)
    is_wrong[some[data[stops[some] - 1] >= 0x80]] = True
    if not is_wrong.any():  # else an open end would run on into the next frame and spoil it as well
        too_long = ends[np.diff(ends, prepend=-1) > MAX_VARINT_BYTES]
        is_wrong[np.searchsorted(stops, too_long, side="right")] = True
    return values, is_wrong


def _column_masks(
    parsed: Sequence[Parsed], columns: Ints, layout: Layout
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """For every column of every frame: whether its first code differs from 0, and whether any later one does."""
    sizes = columns + np.array([p.grid.long_columns for p in parsed], np.int64)
    bits = _bits(b"".join(p.column_mask for p in parsed), sizes)
    is_first = np.arange(len(bits)) < np.repeat(np.cumsum(sizes) - sizes + columns, sizes)
    moves = np.zeros(len(layout.counts), np.bool_)
    moves[np.flatnonzero(layout.counts > 1)] = bits[np.flatnonzero(~is_first)]
    return bits[np.flatnonzero(is_first)], moves


def _sums(values: Ints, counts: Ints) -> Ints:
    """Sum of the first counts[0] values, of the next counts[1], and so on."""
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(values)))
    return np.diff(total[np.cumsum(counts)], prepend=0)


def _bits(packed: bytes, sizes: Ints) -> NDArray[np.bool_]:
    """Bits of several masks behind each other, each padded to whole bytes, without the padding."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8)).view(np.bool_)
    padded = (sizes + 7) // 8 * 8
    ends = np.repeat(np.cumsum(padded) - padded + sizes, padded)
    return bits[np.flatnonzero(np.arange(len(bits)) < ends)]


def _disordered(
    parsed: Sequence[Parsed], flat: Ints, layout: Layout, is_time: NDArray[np.bool_]
) -> list[tuple[int, str]]:
    """Frames whose instants do not rise or lie outside the header's span."""
    is_times = is_time[layout.starts]
    starts, counts = layout.starts[is_times], layout.counts[is_times]
    frame = np.repeat(np.arange(len(parsed)), [len(p.shapes) for p in parsed])
    span = np.array([p.header.last_ms - p.header.first_ms for p in parsed], np.int64)[frame]
    is_wrong = (flat[starts] < 0) | (flat[starts + counts - 1] > span)
    at = np.flatnonzero(is_time)
    is_falling = flat[at[1:]] <= flat[at[:-1]]
    is_falling[(np.cumsum(counts) - counts)[1:] - 1] = False  # a group's first instant has none before it
    fallen = at[1:][is_falling]
    is_wrong[np.searchsorted(starts, fallen, side="right") - 1] = True
    return [(int(i), "instants do not rise within the header's span") for i in np.unique(frame[is_wrong])]
