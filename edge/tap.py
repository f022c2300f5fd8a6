"""Sits between sensors and sampler: lets a recording begin and end while the agent works, and notes the VIN."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from edge.sensors.base import SensorSink
from edge.sensors.recording import Recorder
from sync_protocol.errors import Conflict, Invalid
from sync_protocol.messages import MarkKind, TimeAnchor


class Tap:
    """A `SensorSink` that passes everything on, through a recorder while one runs."""

    def __init__(self, onward: SensorSink, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self._onward = onward
        self._sink = onward
        self._on_event = on_event
        self._recorder: Recorder | None = None
        self.recording: str | None = None

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        """See `SensorSink.row`."""
        self._sink.row(group, boot_ms, values)

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        """See `SensorSink.mark`."""
        self._sink.mark(signal_ids, boot_ms, kind)

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        """See `SensorSink.event`."""
        self._on_event(kind, data)
        self._sink.event(kind, boot_ms, data)

    def anchor(self, anchor: TimeAnchor) -> None:
        """See `SensorSink.anchor`."""
        self._sink.anchor(anchor)

    def start(self, path: Path, boot_ms: int, utc_ms: int | None) -> str:
        """Begin to record. `Conflict` when one runs; `Invalid` for a path that is not absolute or exists."""
        if self._recorder is not None:
            raise Conflict(f"already recording to {self.recording}")
        if not path.is_absolute() or path.exists():
            raise Invalid(f"{path}: expected an absolute path of a file that does not exist yet")
        self._recorder = Recorder(path, self._onward, boot_ms, utc_ms)
        self._sink = self._recorder
        self.recording = str(path)
        return self.recording

    def stop(self) -> int:
        """End the recording. Returns its number of lines. `Conflict` when none runs or it has failed."""
        recorder, path = self._recorder, self.recording
        if recorder is None:
            raise Conflict("no recording is running")
        self._sink, self._recorder, self.recording = self._onward, None, None
        recorder.close()
        if recorder.failure:
            raise Conflict(f"{path}: the recording stopped early: {recorder.failure}")
        return recorder.lines

    def close(self) -> None:
        """End a recording, if one runs."""
        if self._recorder is not None:
            self._recorder.close()
