"""A frame's body: meta, then the shapes of the groups, then one mask and one run of varints for all columns.

    varint  meta length, then so many bytes of MessagePack (see `messages.Meta`)
    varint  number of groups
    for each group:
        varint  rows * 2 + (1 when some cells are absent)
        varint  index of the first byte of the signal set, varint number of its bytes, then the bytes:
                bit n % 8 of byte n // 8 says that signal n is a column
    presence mask: for the groups with absent cells, a bit for each cell, column by column
    column mask: a bit for each column, set when its first code differs from 0;
                 then a bit for each column of several values, set when any later code does
    change mask: for the columns with the second bit, a bit for each value but the first whose code differs from 0
    varints: a zigzag varint for each code that differs from 0

Columns lie in this order: for each group its instants (order 2, counted from the header's first_ms), then its signals
by rising id, those without any value left out. Masks are packed most significant bit first, each padded at its end.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sync_protocol.columns import Ints, Layout, to_codes, write_varints
from sync_protocol.errors import Rejected
from sync_protocol.header import Header
from sync_protocol.heads import Grid, Heads, Shape, grid_of, read_heads, read_varint, signal_tables
from sync_protocol.messages import Meta
from sync_protocol.varints import write_varint


class GroupLike(Protocol):
    """What `write_body` reads of a group; see `codec.Group`."""

    @property
    def signal_ids(self) -> tuple[int, ...]: ...
    @property
    def times_ms(self) -> Ints: ...
    @property
    def values(self) -> Ints: ...
    @property
    def present(self) -> NDArray[np.bool_]: ...


class Parsed(NamedTuple):
    """A frame whose structure is known and whose columns are still bits and varints.

    presents: a (signals, rows) mask for each partial group. rest: the change mask and the varints.
    """

    header: Header
    meta: Meta
    shapes: tuple[Shape, ...]
    presents: tuple[NDArray[np.bool_], ...]
    grid: Grid
    rows: int
    column_mask: bytes
    rest: bytes


def write_body(meta: bytes, groups: Sequence[GroupLike], first_ms: int) -> bytes:
    """The body, not compressed, of groups that `check_groups` let pass."""
    out = bytearray(write_varint(len(meta)) + meta + write_varint(len(groups)))
    tables = signal_tables()
    flats: list[Ints] = []
    counts: list[Ints] = []
    columns: list[NDArray[np.int64]] = []
    absent: list[NDArray[np.bool_]] = []
    for group in groups:
        is_full = bool(group.present.all())
        if not is_full:
            absent.append(group.present.ravel())
        out += write_varint(len(group.times_ms) << 1 | (not is_full)) + _signal_set(group.signal_ids)
        flats += [group.times_ms - first_ms, group.values[group.present]]
        counts.append(np.array([len(group.times_ms)], np.int64))
        counts.append(group.present.sum(axis=1, dtype=np.int64))
        columns.append(np.array((-1, *group.signal_ids), np.int64))
    if not groups:
        return bytes(out)
    count, column = np.concatenate(counts), np.concatenate(columns)
    column, count = column[count > 0], count[count > 0]
    is_time = column < 0
    priors = np.where(is_time, 0, tables.priors[column])
    layout = Layout.of(count, priors, is_time | tables.is_second[column])
    codes = to_codes(np.concatenate(flats), layout)
    has_changed = codes != 0
    later = has_changed.copy()
    later[layout.starts] = False
    moves = np.logical_or.reduceat(later, layout.starts)
    is_masked = np.repeat(moves, count)
    is_masked[layout.starts] = False
    if absent:
        out += np.packbits(np.concatenate(absent)).tobytes()
    out += np.packbits(np.concatenate((has_changed[layout.starts], moves[count > 1]))).tobytes()
    out += np.packbits(has_changed[is_masked]).tobytes()
    out += write_varints(codes[has_changed])
    return bytes(out)


def check_groups(groups: Sequence[GroupLike]) -> None:
    """ValueError when a group is empty, its shapes differ, its ids or instants do not rise, or two share a signal."""
    known = set(signal_tables().known)
    for group in groups:
        _check(group, known)
        known.difference_update(group.signal_ids)


def _check(group: GroupLike, known: set[int]) -> None:
    ids, shape = group.signal_ids, (len(group.signal_ids), len(group.times_ms))
    if not all(shape) or group.values.shape != shape or group.present.shape != shape:
        raise ValueError(f"group {ids}: expected values and presence of shape {shape}, none of it 0")
    if any(a >= b for a, b in pairwise(ids)) or not known.issuperset(ids):
        raise ValueError(f"group {ids}: expected rising ids of the catalogue, each in one group")
    if (np.diff(group.times_ms) <= 0).any():
        raise ValueError(f"group {ids}: expected rising instants")


def _signal_set(ids: tuple[int, ...]) -> bytes:
    first = ids[0] >> 3
    bits = bytearray((ids[-1] >> 3) - first + 1)
    for i in ids:
        bits[(i >> 3) - first] |= 1 << (i & 7)
    return write_varint(first) + write_varint(len(bits)) + bits


def parse_body(header: Header, body: bytes, decode_meta: Callable[[bytes], Meta]) -> Parsed:
    """Structure of a body. `Rejected` when it contradicts itself or the header, `Unavailable` for unknown signals."""
    try:
        return _parse_body(header, body, decode_meta)
    except IndexError as err:
        raise Rejected("body ends early") from err


def _parse_body(header: Header, body: bytes, decode_meta: Callable[[bytes], Meta]) -> Parsed:
    size, at = read_varint(body, 0)
    meta, at = decode_meta(body[at : at + size]), at + size
    heads = read_heads(body, at, header.samples)
    at += len(heads.raw)
    presents: tuple[NDArray[np.bool_], ...] = ()
    grid = heads.grid
    if grid is None:
        presents, at = _presence(body, at, heads)
        grid = grid_of(heads.shapes, presents)
    if len(grid.cell_row) != header.samples:
        raise Rejected(f"{len(grid.cell_row)} samples: header says {header.samples}")
    end = at + (len(grid.counts) + grid.long_columns + 7) // 8
    if end > len(body):
        raise Rejected("body ends early")
    return Parsed(header, meta, heads.shapes, presents, grid, heads.rows, body[at:end], body[end:])


def _presence(body: bytes, at: int, heads: Heads) -> tuple[tuple[NDArray[np.bool_], ...], int]:
    """Read the presence mask: one for each partial group, and where it ends."""
    end = at + (heads.partial_cells + 7) // 8
    bits = np.unpackbits(np.frombuffer(body[at:end], np.uint8)).view(np.bool_)
    if len(bits) < heads.partial_cells:
        raise Rejected("presence mask ends early")
    presents: list[NDArray[np.bool_]] = []
    taken = 0
    for shape in heads.shapes:
        if shape.is_partial:
            n = shape.rows * len(shape.signal_ids)
            presents.append(bits[taken : taken + n].reshape(len(shape.signal_ids), shape.rows))
            taken += n
    return tuple(presents), end
