"""The heads of a body's groups: how many rows, which signals. `body` draws where they stand.

Nearly every frame of a device has the heads of the one before it, so all that follows from them is worked out once.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sync_protocol.columns import Ints
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.signals import catalogue

_MAX_GROUPS = 64
_MAX_SET_BYTES = 512
_KEY_BYTES = 12
_HEADS_KEPT = 512
_ALIKE = 8
_MAX_KEPT_CELLS = 4_096


class SignalTables(NamedTuple):
    """What the columns need of the catalogue, as arrays that an id indexes."""

    priors: Ints
    is_second: NDArray[np.bool_]
    known: frozenset[int]


@cache
def signal_tables() -> SignalTables:
    """Prior value and order of each signal, by id, for whole arrays of ids."""
    signals = catalogue().signals
    size = max(s.id for s in signals) + 1
    priors, second = np.zeros(size, np.int64), np.zeros(size, np.bool_)
    for s in signals:
        priors[s.id], second[s.id] = s.typical, s.order == 2
    return SignalTables(priors, second, frozenset(s.id for s in signals))


class Shape(NamedTuple):
    """One group's shape: rows R, signals C, and whether the presence mask says which of its cells there are."""

    rows: int
    signal_ids: tuple[int, ...]
    is_partial: bool


class Grid(NamedTuple):
    """The columns of one frame, and where their values belong. A column is a group's instants or a signal.

    signal: (columns,) id, -1 for instants. counts: (columns,) values. priors, is_second: (columns,) see `columns`.
    long_columns: how many of them have several values.
    is_time: (values,) whether it is an instant. cell_row, cell_signal: (cells,) row in the frame and id of the others.
    """

    signal: Ints
    counts: Ints
    priors: Ints
    is_second: NDArray[np.bool_]
    long_columns: int
    is_time: NDArray[np.bool_]
    cell_row: NDArray[np.int32]
    cell_signal: NDArray[np.int16]


class Heads(NamedTuple):
    """All group heads of a body, and the bytes they stand in.

    rows: of all groups. partial_cells: bits in the presence mask; full_cells: cells of the groups that need none.
    grid: when no group is partial; else it takes the mask to tell, see `grid_of`.
    """

    raw: bytes
    shapes: tuple[Shape, ...]
    rows: int
    full_cells: int
    partial_cells: int
    grid: Grid | None


# By their first bytes; both bounds keep what a hostile device can make us remember to a few megabytes.
_known: dict[bytes, tuple[Heads, ...]] = {}


def read_heads(body: bytes, at: int, samples: int) -> Heads:
    """Parse the heads that stand at `at`. `Rejected`, `Unavailable` or IndexError when they do not make sense.

    `samples`: how many the header says; more rows or samples than that are refused before any room is made for them.
    """
    key = body[at : at + _KEY_BYTES]
    alike = _known.get(key, ())
    for heads in alike:
        if body.startswith(heads.raw, at):
            _check_size(heads.rows, heads.full_cells, heads.partial_cells, len(body), samples)
            return heads
    shapes, end = _read_shapes(body, at)
    rows = sum(shape.rows for shape in shapes)
    full_cells = sum(shape.rows * len(shape.signal_ids) for shape in shapes if not shape.is_partial)
    partial_cells = sum(shape.rows * len(shape.signal_ids) for shape in shapes if shape.is_partial)
    _check_size(rows, full_cells, partial_cells, len(body), samples)
    grid = None if partial_cells else grid_of(shapes, ())
    heads = Heads(body[at:end], shapes, rows, full_cells, partial_cells, grid)
    if end <= len(body) and full_cells <= _MAX_KEPT_CELLS:
        if len(_known) >= _HEADS_KEPT:
            _known.clear()
        _known[key] = (heads, *alike[: _ALIKE - 1])
    return heads


def _check_size(rows: int, full_cells: int, partial_cells: int, body_bytes: int, samples: int) -> None:
    if rows > samples or full_cells > samples or body_bytes * 8 < partial_cells:
        raise Rejected(f"more rows or samples than the {samples} the header says")


def _read_shapes(body: bytes, at: int) -> tuple[tuple[Shape, ...], int]:
    group_count, at = read_varint(body, at)
    if group_count > _MAX_GROUPS:
        raise Rejected(f"{group_count} groups: expected at most {_MAX_GROUPS}")
    known = signal_tables().known
    shapes: list[Shape] = []
    seen: set[int] = set()
    for _ in range(group_count):
        rows, at = read_varint(body, at)
        first, at = read_varint(body, at)
        set_bytes, at = read_varint(body, at)
        if first + set_bytes > _MAX_SET_BYTES:
            raise Rejected(f"signal set of bytes {first} to {first + set_bytes}: expected at most {_MAX_SET_BYTES}")
        ids, at = _signals_of(first, body[at : at + set_bytes]), at + set_bytes
        if rows < 2 or not ids or not seen.isdisjoint(ids):
            raise Rejected("a group without rows, without signals, or with a signal of another group")
        if not known.issuperset(ids):
            raise Unavailable(f"signals {sorted(set(ids) - known)} are not in this catalogue")
        seen.update(ids)
        shapes.append(Shape(rows >> 1, ids, bool(rows & 1)))
    return tuple(shapes), at


def _signals_of(first: int, bits: bytes) -> tuple[int, ...]:
    return tuple((first + i) * 8 + bit for i, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1)


def grid_of(shapes: tuple[Shape, ...], presents: tuple[NDArray[np.bool_], ...]) -> Grid:
    """The grid of groups; `presents` has a (signals, rows) mask for each partial one, in order."""
    tables = signal_tables()
    signals: list[Ints] = []
    counts: list[Ints] = []
    cell_rows: list[NDArray[np.int32]] = []
    masks = iter(presents)
    row = 0
    for shape in shapes:
        ids = np.array((-1, *shape.signal_ids), np.int64)
        if shape.is_partial:
            present = next(masks)
            count = np.concatenate(([shape.rows], present.sum(axis=1, dtype=np.int64)))
            ids, count = ids[count > 0], count[count > 0]
            at = np.nonzero(present)[1].astype(np.int32)
        else:
            count = np.full(len(ids), shape.rows, np.int64)
            at = np.tile(np.arange(shape.rows, dtype=np.int32), len(shape.signal_ids))
        signals.append(ids)
        counts.append(count)
        cell_rows.append(at + np.int32(row))
        row += shape.rows
    signal = np.concatenate(signals) if signals else np.empty(0, np.int64)
    count = np.concatenate(counts) if counts else np.empty(0, np.int64)
    is_time = signal < 0
    return Grid(
        signal,
        count,
        np.where(is_time, 0, tables.priors[signal]),
        is_time | tables.is_second[signal],
        int(np.count_nonzero(count > 1)),
        np.repeat(is_time, count),
        np.concatenate(cell_rows) if cell_rows else np.empty(0, np.int32),
        np.repeat(signal[~is_time], count[~is_time]).astype(np.int16),
    )


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A plain varint of at most three bytes (counts are small) and the index behind it; IndexError at the end."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value = byte & 0x7F
    for shift in (7, 14):
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
    raise Rejected("a count of more than three bytes")
