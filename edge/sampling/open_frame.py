"""The frame that is being filled, and the closed one that waits for its number."""

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from sync_protocol.codec import Group, encode
from sync_protocol.messages import Event, Mark, MarkKind, Meta, TimeAnchor

_SAMPLE_BYTES = 10
_MARK_BYTES = 40


class ClosedFrame(msgspec.Struct, frozen=True):
    """Content of a frame. `odometer_raw` is to be kept with it, so that the distance survives the night."""

    groups: tuple[Group, ...]
    meta: Meta
    samples: int
    odometer_raw: int

    def encode(self, stream_id: bytes, seq: int, boot: int, *, compress: bool = True) -> bytes:
        """The frame's bytes under its number. Not compressed it is larger alone, and smaller in a bundle."""
        return encode(stream_id, seq, boot, self.groups, self.meta, compress=compress)


class OpenFrame:
    """Rows by group and instant, in whatever order they come; marks joined; events and anchors."""

    def __init__(self) -> None:
        self.samples = 0
        self.events: list[Event] = []
        self.anchors: list[TimeAnchor] = []
        self._marks: dict[tuple[int, MarkKind], list[list[int]]] = {}
        self._rows: dict[str, dict[int, dict[int, int]]] = {}
        self._group_of: dict[int, str] = {}
        self.first_ms: int | None = None
        self._meta_bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing worth a frame."""
        return not (self._rows or self.events or self.anchors or self._marks)

    @property
    def most_bytes(self) -> int:
        """The size of the body in the worst case."""
        return _SAMPLE_BYTES * self.samples + self._meta_bytes

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> int:
        """Add a row. Returns how many samples replaced one of the same signal and instant.

        A signal has one group in a frame: what comes of it under another name joins its first.
        """
        self._touch(boot_ms)
        new = 0
        for signal_id, raw in values.items():
            rows = self._rows.setdefault(self._group_of.setdefault(signal_id, group), {})
            row = rows.setdefault(boot_ms, {})
            new += signal_id not in row
            row[signal_id] = raw
        self.samples += new
        return len(values) - new

    def mark(self, signal_id: int, first_ms: int, last_ms: int, kind: MarkKind, *, join: bool) -> None:
        """Add a mark; with `join` it continues the last one of its kind."""
        self._touch(last_ms)
        spans = self._marks.setdefault((signal_id, kind), [])
        if spans and join:
            spans[-1] = [min(spans[-1][0], first_ms), max(spans[-1][1], last_ms)]
        else:
            spans.append([first_ms, last_ms])
            self._meta_bytes += _MARK_BYTES

    def event(self, event: Event) -> None:
        """Add an event."""
        self._touch(event.boot_ms)
        self.events.append(event)
        self._meta_bytes += len(msgspec.msgpack.encode(event))

    def anchor(self, anchor: TimeAnchor) -> None:
        """Add a time anchor."""
        self._touch(anchor.boot_ms)
        self.anchors.append(anchor)

    def _touch(self, boot_ms: int) -> None:
        if self.first_ms is None:
            self.first_ms = boot_ms

    def close(self, odometer_raw: int) -> ClosedFrame:
        """The content as it travels."""
        marks = tuple(
            Mark(signal_id, first, last, kind)
            for (signal_id, kind), spans in sorted(self._marks.items())
            for first, last in spans
        )
        meta = Meta(tuple(self.events), tuple(self.anchors), marks)
        return ClosedFrame(tuple(self._groups()), meta, self.samples, odometer_raw)

    def _groups(self) -> Iterator[Group]:
        for rows in self._rows.values():
            signal_ids = sorted({signal_id for row in rows.values() for signal_id in row})
            column = {signal_id: i for i, signal_id in enumerate(signal_ids)}
            times = sorted(rows)
            values = np.zeros((len(signal_ids), len(times)), np.int64)
            present = np.zeros(values.shape, np.bool_)
            for j, boot_ms in enumerate(times):
                for signal_id, raw in rows[boot_ms].items():
                    values[column[signal_id], j] = raw
                    present[column[signal_id], j] = True
            yield Group(tuple(signal_ids), np.array(times, np.int64), values, present)
