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
from functools import cache
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sync_protocol.columns import Ints, Layout, to_codes, write_varints
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import Header
from sync_protocol.messages import Meta
from sync_protocol.signals import catalogue

_MAX_GROUPS = 64
_MAX_SET_BYTES = 512


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


class Shape(NamedTuple):
    """One group's shape as parsed: rows R, signals C, presence (C, R) or None when every cell is there."""

    rows: int
    signal_ids: tuple[int, ...]
    present: NDArray[np.bool_] | None


class Parsed(NamedTuple):
    """A frame whose structure is known and whose columns are still bits and varints.

    columns, long_columns: how many have a value, how many have several. values: of all columns together.
    rest: the change mask and the varints.
    """

    header: Header
    meta: Meta
    shapes: tuple[Shape, ...]
    columns: int
    long_columns: int
    values: int
    column_mask: bytes
    rest: bytes


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


def write_body(meta: bytes, groups: Sequence[GroupLike], first_ms: int) -> bytes:
    """The body, not compressed, of groups that `check_groups` let pass."""
    out = bytearray(_varint(len(meta)) + meta + _varint(len(groups)))
    tables = signal_tables()
    flats: list[Ints] = []
    counts: list[Ints] = []
    columns: list[NDArray[np.int64]] = []
    absent: list[NDArray[np.bool_]] = []
    for group in groups:
        is_full = bool(group.present.all())
        if not is_full:
            absent.append(group.present.ravel())
        out += _varint(len(group.times_ms) << 1 | (not is_full)) + _signal_set(group.signal_ids)
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
    return _varint(first) + _varint(len(bits)) + bits


@cache
def _signals_of(first: int, bits: bytes) -> tuple[int, ...]:
    return tuple((first + i) * 8 + bit for i, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1)


def parse_body(header: Header, body: bytes, decode_meta: Callable[[bytes], Meta]) -> Parsed:
    """Structure of a body. `Rejected` when it contradicts itself or the header, `Unavailable` for unknown signals."""
    try:
        return _parse_body(header, body, decode_meta)
    except IndexError as err:
        raise Rejected("body ends early") from err


def _parse_body(header: Header, body: bytes, decode_meta: Callable[[bytes], Meta]) -> Parsed:
    size, at = _read_varint(body, 0)
    meta, at = decode_meta(body[at : at + size]), at + size
    group_count, at = _read_varint(body, at)
    if group_count > _MAX_GROUPS:
        raise Rejected(f"{group_count} groups: expected at most {_MAX_GROUPS}")
    known = signal_tables().known
    shapes: list[Shape] = []
    partial: list[tuple[int, int]] = []
    seen: set[int] = set()
    cells = rows_total = columns = long_columns = 0
    for position in range(group_count):
        rows, at = _read_varint(body, at)
        first, at = _read_varint(body, at)
        set_bytes, at = _read_varint(body, at)
        if first + set_bytes > _MAX_SET_BYTES:
            raise Rejected(f"signal set of bytes {first} to {first + set_bytes}: expected at most {_MAX_SET_BYTES}")
        ids, at = _signals_of(first, body[at : at + set_bytes]), at + set_bytes
        if rows < 2 or not ids or not seen.isdisjoint(ids):
            raise Rejected("a group without rows, without signals, or with a signal of another group")
        if not known.issuperset(ids):
            raise Unavailable(f"signals {sorted(set(ids) - known)} are not in this catalogue")
        seen.update(ids)
        if rows & 1:
            partial.append((position, (rows >> 1) * len(ids)))
        else:
            cells += (rows >> 1) * len(ids)
            columns += len(ids)
            long_columns += len(ids) if rows > 3 else 0
        long_columns += rows > 3
        rows_total += rows >> 1
        shapes.append(Shape(rows >> 1, ids, None))
    if rows_total > header.samples or cells > header.samples or len(body) * 8 < sum(n for _, n in partial):
        raise Rejected(f"more rows or samples than the {header.samples} the header says")
    at = _presence(body, at, shapes, partial)
    for shape in shapes:
        if shape.present is not None:
            counts = shape.present.sum(axis=1)
            cells += int(counts.sum())
            columns += int(np.count_nonzero(counts))
            long_columns += int(np.count_nonzero(counts > 1))
    if cells != header.samples:
        raise Rejected(f"{cells} samples: header says {header.samples}")
    columns += len(shapes)
    end = at + (columns + long_columns + 7) // 8
    if end > len(body):
        raise Rejected("body ends early")
    return Parsed(header, meta, tuple(shapes), columns, long_columns, rows_total + cells, body[at:end], body[end:])


def _presence(body: bytes, at: int, shapes: list[Shape], partial: list[tuple[int, int]]) -> int:
    """Read the presence mask into `shapes`; returns where it ends."""
    total = sum(n for _, n in partial)
    if not total:
        return at
    end = at + (total + 7) // 8
    bits = np.unpackbits(np.frombuffer(body[at:end], np.uint8))
    if len(bits) < total:
        raise Rejected("presence mask ends early")
    taken = 0
    for position, n in partial:
        shape = shapes[position]
        present = bits[taken : taken + n].astype(np.bool_).reshape(len(shape.signal_ids), shape.rows)
        shapes[position] = shape._replace(present=present)
        taken += n
    return end


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
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
