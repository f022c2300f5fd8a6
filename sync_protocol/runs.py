"""A run: successive frames of one stream whose columns are coded through, as if they were one frame.

Each frame of ten seconds begins its columns anew; in a run they go on from the frame before, and what follows from the
rest (checksums, counts, lengths) is left out. Only for frames whose body is stored as it is: its encoding is canonical,
so that `split` makes exactly the bytes that were committed. `SPEC.md` draws the layout.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sync_protocol.body import parse_body, write_body
from sync_protocol.codec import Frame, Group, decode, encode, groups_of
from sync_protocol.errors import Rejected
from sync_protocol.header import MAX_SAMPLES, STORED, VERSION, Header, read_header
from sync_protocol.messages import Meta, decode_meta, encode_meta
from sync_protocol.varints import Reader, write_varint

_MAX_SEQ = (1 << 32) - 1
_MAX_BOOT = (1 << 16) - 1
_MAX_MS = (1 << 48) - 1
_NO_META = Meta()


class _Column(NamedTuple):
    """A group of the run while it grows: the groups of single frames that are joined in it."""

    signal_ids: set[int]
    parts: list[Group]


class Run:
    """Frames that go together, in the order in which they were added."""

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._groups: list[_Column] = []
        self._places: list[list[int]] = []
        self._samples = 0

    def add(self, data: bytes) -> bool:
        """Take a frame. False, and nothing has changed, when it does not go with those before it."""
        header = read_header(data)
        if header.coding != STORED or self._samples + header.samples > MAX_SAMPLES or not self._follows(header):
            return False
        frame = decode(data)
        places = self._places_of(frame.groups)
        if places is None:
            return False
        for place, group in zip(places, frame.groups, strict=True):
            if place == len(self._groups):
                self._groups.append(_Column(set(), []))
            self._groups[place].signal_ids.update(group.signal_ids)
            self._groups[place].parts.append(group)
        self._frames.append(frame)
        self._places.append(places)
        self._samples += header.samples
        return True

    def _follows(self, header: Header) -> bool:
        if not self._frames:
            return True
        last = self._frames[-1].header
        return (last.stream_id, last.boot) == (header.stream_id, header.boot) and last.seq < header.seq

    def _places_of(self, groups: Sequence[Group]) -> list[int] | None:
        """For each group of a frame, the group of the run that it continues; new ones get the next numbers."""
        places: list[int] = []
        fresh = len(self._groups)
        for group in groups:
            found = [i for i, known in enumerate(self._groups) if not known.signal_ids.isdisjoint(group.signal_ids)]
            if len(found) > 1:
                return None
            if found and group.times_ms[0] <= self._groups[found[0]].parts[-1].times_ms[-1]:
                return None
            places.append(found[0] if found else fresh)
            fresh += not found
        return places if len(set(places)) == len(places) else None

    def to_bytes(self) -> bytes:
        """The run as it stands in a bundle."""
        first = self._frames[0].header
        merged = [_merged(column) for column in self._groups]
        begin_ms = min((int(group.times_ms[0]) for group in merged), default=0)
        out = bytearray(first.stream_id)
        for value in (first.boot, first.seq, len(self._frames), begin_ms, self._samples):
            out += write_varint(value)
        for before, frame in pairwise([self._frames[0], *self._frames]):
            out += write_varint(frame.header.seq - before.header.seq)
        for frame, places in zip(self._frames, self._places, strict=True):
            out += write_varint(len(places))
            for place, group in zip(places, frame.groups, strict=True):
                out += write_varint(place) + write_varint(len(group.times_ms))
        for frame in self._frames:
            meta = encode_meta(frame.meta)
            out += write_varint(len(meta)) + meta
        body = write_body(b"", merged, begin_ms)
        return bytes(out + write_varint(len(body)) + body)


def _merged(column: _Column) -> Group:
    ids = tuple(sorted(column.signal_ids))
    place = {signal_id: i for i, signal_id in enumerate(ids)}
    times = np.concatenate([part.times_ms for part in column.parts])
    values = np.zeros((len(ids), len(times)), np.int64)
    present = np.zeros(values.shape, np.bool_)
    at = 0
    for part in column.parts:
        rows = [place[signal_id] for signal_id in part.signal_ids]
        end = at + len(part.times_ms)
        values[rows, at:end] = part.values
        present[rows, at:end] = part.present
        at = end
    return Group(ids, times, values, present)


def split(reader: Reader, most_frames: int, most_samples: int) -> tuple[list[bytes], int]:
    """Read one run. Returns its frames, and how many samples they hold.

    `Rejected` when it contradicts itself or goes beyond the limits, `Unavailable` for signals that are not known here.
    """
    stream_id = reader.take(16)
    boot, seq = reader.varint(_MAX_BOOT), reader.varint(_MAX_SEQ)
    count = reader.varint(most_frames)
    if not count:
        raise Rejected("a run without a frame")
    begin_ms, samples = reader.varint(_MAX_MS), reader.varint(most_samples)
    seqs = np.cumsum([seq, *(reader.varint(_MAX_SEQ) for _ in range(count))])[1:].tolist()
    places = [[(reader.varint(63), reader.varint(MAX_SAMPLES)) for _ in range(reader.varint(64))] for _ in range(count)]
    metas = [decode_meta(reader.take(reader.varint(reader.left))) for _ in range(count)]
    body = reader.take(reader.varint(reader.left))
    header = Header(VERSION, STORED, stream_id, seq, boot, begin_ms, begin_ms + _MAX_MS, samples, 0, len(body), 0)
    columns = groups_of(parse_body(header, body, _no_meta))
    taken = [0] * len(columns)
    frames: list[bytes] = []
    for number, meta, of_frame in zip(seqs, metas, places, strict=True):
        groups = []
        for place, rows in of_frame:
            if place >= len(columns) or taken[place] + rows > len(columns[place].times_ms):
                raise Rejected("a run's frame has rows that the run has not")
            groups.append(_cut(columns[place], taken[place], rows))
            taken[place] += rows
        frames.append(_encoded(stream_id, number, boot, groups, meta))
    if taken != [len(column.times_ms) for column in columns]:
        raise Rejected("a run has rows that are in none of its frames")
    return frames, samples


def _no_meta(data: bytes) -> Meta:
    if data:
        raise Rejected("a run's body has meta of its own")
    return _NO_META


def _cut(column: Group, at: int, rows: int) -> Group:
    """The rows of one frame, without the signals that it has no value of."""
    cut = slice(at, at + rows)
    some = np.flatnonzero(column.present[:, cut].any(axis=1))
    ids = tuple(column.signal_ids[i] for i in some.tolist())
    return Group(ids, column.times_ms[cut], column.values[some, cut], column.present[some, cut])


def _encoded(stream_id: bytes, seq: int, boot: int, groups: list[Group], meta: Meta) -> bytes:
    if not 1 <= seq <= _MAX_SEQ:
        raise Rejected(f"a run's frame has the sequence number {seq}")
    try:
        return encode(stream_id, seq, boot, groups, meta, compress=False)
    except (ValueError, OverflowError) as err:
        raise Rejected(f"a run's frame {seq}: {err}") from err
