"""Writes recordings: the file, and a sink that writes down what it is given and passes it on."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from edge.sensors.base import SensorSink
from edge.sensors.recording import (
    FORMAT_VERSION,
    AnchorLine,
    EventLine,
    Header,
    Line,
    MarkLine,
    Row,
    open_recording,
)
from sync_protocol.errors import Unavailable
from sync_protocol.messages import MarkKind, TimeAnchor
from sync_protocol.signals import catalogue

_encoder = msgspec.json.Encoder()
# Each flush ends a block of gzip. A plain file is flushed by line, so that a kill cuts nothing.
_FLUSH_PACKED_MS = 5_000


class Recorder:
    """A recording that is being written. A full disk ends it, never the measuring: `failure` then says why."""

    def __init__(
        self,
        path: Path,
        boot_ms: int,
        utc_ms: int | None = None,
        agent: str = "",
        redacted: tuple[str, ...] = (),
    ) -> None:
        """Begin the file. `Unavailable` when it cannot be written."""
        self._flushed_ms: float = boot_ms
        self._flush_every_ms = _FLUSH_PACKED_MS if path.suffix == ".gz" else 0
        self.failure: str | None = None
        self.lines = 0
        self._closing = ExitStack()
        try:
            self._file: IO[bytes] = self._closing.enter_context(open_recording(path, "wb"))
        except OSError as err:
            raise Unavailable(f"{path}: {err.strerror}") from err
        header = Header(FORMAT_VERSION, boot_ms, catalogue().version, utc_ms, agent, redacted=redacted)
        self._write(header, boot_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the file."""
        try:
            self._closing.close()
        except OSError as err:
            self.failure = self.failure or str(err)

    def write(self, line: Line) -> None:
        """Add a line."""
        self._write(line, line.t)
        self.lines += 1

    def _write(self, line: Header | Line, boot_ms: float) -> None:
        if self.failure is not None:
            return
        try:
            self._file.write(_encoder.encode(line) + b"\n")
            if boot_ms - self._flushed_ms >= self._flush_every_ms:
                self._file.flush()
                self._flushed_ms = boot_ms
        except OSError as err:
            self.failure = err.strerror or str(err)


class RecordingSink:
    """A `SensorSink` in front of another one. `by` is the name of the sensor that gives to it."""

    def __init__(self, recorder: Recorder, onward: SensorSink, by: str = "") -> None:
        self._recorder = recorder
        self._onward = onward
        self._by = by

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        """See `SensorSink.row`."""
        self._recorder.write(Row(boot_ms, group, dict(values), self._by))
        self._onward.row(group, boot_ms, values)

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        """See `SensorSink.mark`."""
        ids = tuple(signal_ids)
        self._recorder.write(MarkLine(boot_ms, ids, kind, self._by))
        self._onward.mark(ids, boot_ms, kind)

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        """See `SensorSink.event`."""
        self._recorder.write(EventLine(boot_ms, kind, data, self._by))
        self._onward.event(kind, boot_ms, data)

    def anchor(self, anchor: TimeAnchor) -> None:
        """See `SensorSink.anchor`."""
        line = AnchorLine(anchor.boot_ms, anchor.utc_ms, anchor.source, anchor.uncertainty_ms, self._by)
        self._recorder.write(line)
        self._onward.anchor(anchor)
