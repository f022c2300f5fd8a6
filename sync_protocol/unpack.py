"""Parsed frames -> values: undoes masks, varints and differences of many frames in one run of numpy calls."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sync_protocol.body import Parsed, signal_tables
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

    column_signal: signal id of each column, -1 for instants. With anything in `bad` the values mean nothing.
    """

    parsed: Sequence[Parsed]
    flat: Ints
    column_signal: Ints
    layout: Layout
    bad: list[tuple[int, str]]

    def to_cells(self) -> Cells:
        """Long form: the instants of every group become rows, every other value a cell of its row."""
        frame, first_ms, rows = [], [], []
        cell_row: list[NDArray[np.int32]] = []
        row = 0
        for position, parsed in enumerate(self.parsed):
            for shape in parsed.shapes:
                frame.append(position)
                first_ms.append(parsed.header.first_ms)
                rows.append(shape.rows)
                if shape.present is None:
                    at = _row_pattern(shape.rows, len(shape.signal_ids))
                else:
                    at = np.nonzero(shape.present)[1].astype(np.int32)
                cell_row.append(at + np.int32(row))
                row += shape.rows
        is_time = np.repeat(self.column_signal < 0, self.layout.counts)
        row_ms = self.flat[is_time] + np.repeat(np.array(first_ms, np.int64), rows)
        row_frame = np.repeat(np.array(frame, np.int32), rows)
        signal = np.repeat(self.column_signal.astype(np.int16), self.layout.counts)[~is_time]
        joined = np.concatenate(cell_row) if cell_row else np.empty(0, np.int32)
        return Cells(row_frame, row_ms, joined, signal, self.flat[~is_time])


def decode_columns(parsed: Sequence[Parsed]) -> Columns:
    """Undo masks, varints and differences of many frames at once. Frames that do not add up are named in `bad`."""
    tables = signal_tables()
    signals: list[Ints] = []
    counts: list[Ints] = []
    for frame in parsed:
        for shape in frame.shapes:
            ids = _column_ids(shape.signal_ids)
            if shape.present is None:
                count = _full_counts(shape.rows, len(ids))
            else:
                count = np.concatenate(([shape.rows], shape.present.sum(axis=1, dtype=np.int64)))
                ids, count = ids[count > 0], count[count > 0]
            signals.append(ids)
            counts.append(count)
    column = np.concatenate(signals) if signals else np.empty(0, np.int64)
    count = np.concatenate(counts) if counts else np.empty(0, np.int64)
    is_time = column < 0
    layout = Layout.of(count, np.where(is_time, 0, tables.priors[column]), is_time | tables.is_second[column])
    codes, bad = _codes(parsed, layout)
    if bad:
        return Columns(parsed, codes, column, layout, bad)
    flat = from_codes(codes, layout)
    return Columns(parsed, flat, column, layout, _disordered(parsed, flat, layout, is_time))


@cache
def _column_ids(signal_ids: tuple[int, ...]) -> Ints:
    return np.array((-1, *signal_ids), np.int64)


@cache
def _full_counts(rows: int, columns: int) -> Ints:
    return np.full(columns, rows, np.int64)


@cache
def _row_pattern(rows: int, columns: int) -> NDArray[np.int32]:
    return np.tile(np.arange(rows, dtype=np.int32), columns)


def _codes(parsed: Sequence[Parsed], layout: Layout) -> tuple[Ints, list[tuple[int, str]]]:
    """Codes of all columns, zeros included; or nothing, and the frames whose masks and varints disagree."""
    columns = np.array([p.columns for p in parsed], np.int64)
    first, moves = _column_masks(parsed, columns, layout)
    masked = _sums(np.where(moves, layout.counts - 1, 0), columns)
    rest = np.frombuffer(b"".join(p.rest for p in parsed), np.uint8)
    sizes = np.array([len(p.rest) for p in parsed], np.int64)
    mask_bytes = (masked + 7) // 8
    if (mask_bytes > sizes).any():
        return np.empty(0, np.int64), [(int(i), "change mask ends early") for i in np.flatnonzero(mask_bytes > sizes)]
    in_mask = np.arange(len(rest)) - np.repeat(np.cumsum(sizes) - sizes, sizes) < np.repeat(mask_bytes, sizes)
    is_masked = np.repeat(moves, layout.counts)
    is_masked[layout.starts] = False
    changed = np.zeros(len(is_masked), np.bool_)
    changed[is_masked] = _bits(rest[in_mask].tobytes(), masked)
    changed[layout.starts] = first
    expected = _sums(changed, np.array([p.values for p in parsed], np.int64))
    values, is_wrong = _varints_of(rest[~in_mask], sizes - mask_bytes, expected)
    if is_wrong.any():
        return np.empty(0, np.int64), [(int(i), "varints do not match the mask") for i in np.flatnonzero(is_wrong)]
    codes = np.zeros(len(changed), np.int64)
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
    sizes = columns + np.array([p.long_columns for p in parsed], np.int64)
    bits = _bits(b"".join(p.column_mask for p in parsed), sizes)
    is_first = np.arange(len(bits)) - np.repeat(np.cumsum(sizes) - sizes, sizes) < np.repeat(columns, sizes)
    moves = np.zeros(len(layout.counts), np.bool_)
    moves[layout.counts > 1] = bits[~is_first]
    return bits[is_first], moves


def _sums(values: Ints | NDArray[np.bool_], counts: Ints) -> Ints:
    """Sum of the first counts[0] values, of the next counts[1], and so on."""
    total = np.concatenate((np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)))
    return np.diff(total[np.cumsum(counts)], prepend=0)


def _bits(packed: bytes, sizes: Ints) -> NDArray[np.bool_]:
    """Bits of several masks behind each other, each padded to whole bytes, without the padding."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8)).view(np.bool_)
    padded = (sizes + 7) // 8 * 8
    kept: NDArray[np.bool_] = bits[
        np.arange(len(bits)) - np.repeat(np.cumsum(padded) - padded, padded) < np.repeat(sizes, padded)
    ]
    return kept


def _disordered(
    parsed: Sequence[Parsed], flat: Ints, layout: Layout, is_time: NDArray[np.bool_]
) -> list[tuple[int, str]]:
    """Frames whose instants do not rise or lie outside the header's span."""
    starts, counts = layout.starts[is_time], layout.counts[is_time]
    frame = np.repeat(np.arange(len(parsed)), [len(p.shapes) for p in parsed])
    span = np.array([p.header.last_ms - p.header.first_ms for p in parsed], np.int64)[frame]
    is_wrong = (flat[starts] < 0) | (flat[starts + counts - 1] > span)
    is_falling = np.repeat(is_time, layout.counts)
    is_falling[starts] = False
    is_falling[1:] &= np.diff(flat) <= 0
    is_wrong[np.searchsorted(starts, np.flatnonzero(is_falling), side="right") - 1] = True
    return [(int(i), "instants do not rise within the header's span") for i in np.unique(frame[is_wrong])]
