"""Sits in front of the sampler: lets a recording begin and end while the agent works, and notes the VIN."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
import zlib

import msgspec

from edge.clock import Clock
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.sampler import Sampler
from edge.sensors.base import SensorSink
from edge.sensors.recorder import Recorder, RecordingSink
from edge.sensors.recording import Context, FrameLine, TickLine, WatchLine
from edge.sensors.wiretap import Wiretap
from sync_protocol.codec import encode
from sync_protocol.errors import Conflict, Invalid
from sync_protocol.messages import AnchorSource, MarkKind, TimeAnchor

_STREAM = bytes(16)


class HeldClock:
    """The sampler's clock. The tap holds it for a moment, so that what is recorded is the time the sampler saw."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held_ms: int | None = None

    def boot_ms(self) -> int:
        """See `Clock.boot_ms`."""
        return self._clock.boot_ms() if self._held_ms is None else self._held_ms

    def hold(self) -> int:
        """Stand still, until `release`. Returns boot_ms."""
        self._held_ms = self._clock.boot_ms()
        return self._held_ms

    def release(self) -> None:
        """Go on."""
        self._held_ms = None


def frame_line(frame: ClosedFrame, boot_ms: int, number: int) -> FrameLine:
    """What a recording keeps of a frame, the `number`th of it."""
    body = encode(_STREAM, number, 1, frame.groups, frame.meta, compress=False)
    return FrameLine(boot_ms, zlib.crc32(body), frame.samples, len(frame.meta.events))


class Running(NamedTuple):
    """A recording that is being made."""

    recorder: Recorder
    path: str
    wiretaps: Sequence[Wiretap]


class Tap:
    """Everything that the sampler is given comes through here, and through a recorder while one runs."""

    def __init__(self, sampler: Sampler, clock: HeldClock, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        """`clock` is the one that the sampler was given."""
        self._sampler = sampler
        self._clock = clock
        self._on_event = on_event
        self._sinks: dict[str, SensorSink] = {}
        self._running: Running | None = None
        self._frames = 0

    @property
    def recording(self) -> str | None:
        """The path of the recording that runs."""
        return None if self._running is None else self._running.path

    def sink(self, by: str) -> SensorSink:
        """What the sensor of this name is to give to."""
        return _Named(self, by)

    def at(self, by: str) -> SensorSink:
        """Where things go now that the sensor `by` gives; without a name it is the agent itself."""
        if self._running is None:
            return self._sampler
        if by not in self._sinks:
            self._sinks[by] = RecordingSink(self._running.recorder, self._sampler, by)
        return self._sinks[by]

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        """See `SensorSink.row`."""
        self.at("").row(group, boot_ms, values)

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        """See `SensorSink.mark`."""
        self.at("").mark(signal_ids, boot_ms, kind)

    def event(self, kind: str, boot_ms: int, data: dict[str, Any], by: str = "") -> None:
        """See `SensorSink.event`."""
        self._on_event(kind, data)
        self.at(by).event(kind, boot_ms, data)

    def anchor(self, anchor: TimeAnchor) -> None:
        """See `SensorSink.anchor`."""
        self.at("").anchor(anchor)

    def cloud_time(self, boot_ms: int, utc_ms: int, uncertainty_ms: int) -> None:
        """The cloud has said what time it is."""
        self.anchor(TimeAnchor(boot_ms, utc_ms, "cloud", uncertainty_ms))

    def utc(self, boot_ms: int) -> tuple[int | None, AnchorSource | None]:
        """See `Sampler.utc`."""
        return self._sampler.utc(boot_ms)

    def watch(self, lease_s: float) -> None:
        """See `Sampler.watch`."""
        boot_ms = self._clock.hold()
        if self._running is not None:
            self._running.recorder.write(WatchLine(boot_ms, lease_s))
        self._sampler.watch(lease_s)
        self._clock.release()

    def tick(self) -> None:
        """See `Sampler.tick`."""
        boot_ms = self._clock.hold()
        if self._running is not None:
            self._running.recorder.write(TickLine(boot_ms))
        self._sampler.tick()
        self._clock.release()

    def frame(self, frame: ClosedFrame) -> None:
        """The sampler has closed a frame."""
        if self._running is not None:
            self._frames += 1
            self._running.recorder.write(frame_line(frame, self._clock.boot_ms(), self._frames))

    def start(self, path: Path, context: Context | None = None, wiretaps: Sequence[Wiretap] = ()) -> None:
        """Begin to record; raw with a `context` of the sensors, which must not have been run yet.

        `Conflict` and `Invalid` as `check`; `Unavailable` when the file cannot be written.
        """
        self.check(path)
        boot_ms = self._clock.boot_ms()
        recorder = Recorder(path, boot_ms, self.utc(boot_ms)[0], version("milepost"))
        if context is not None:
            recorder.write(self._with_sampler(context))
        self._running = Running(recorder, str(path), wiretaps)
        self._frames = 0
        for wiretap in wiretaps:
            wiretap.recorder = recorder

    def _with_sampler(self, context: Context) -> Context:
        best = self._sampler.anchors.best
        return msgspec.structs.replace(
            context,
            odometer_raw=self._sampler.begin_anew(),
            anchor=None if best is None else (best.boot_ms, best.utc_ms, best.source, best.uncertainty_ms),
            watched_ms=self._sampler.watched_left_ms,
        )

    def check(self, path: Path) -> None:
        """`Conflict` when a recording runs; `Invalid` for a path that is not absolute or exists."""
        if self._running is not None:
            raise Conflict(f"already recording to {self._running.path}")
        if not path.is_absolute() or path.exists():
            raise Invalid(f"{path}: expected an absolute path of a file that does not exist yet")

    def stop(self) -> int:
        """End the recording. Returns its number of lines. `Conflict` when none runs or it has failed."""
        running = self._running
        if running is None:
            raise Conflict("no recording is running")
        self.close()
        if running.recorder.failure:
            raise Conflict(f"{running.path}: the recording stopped early: {running.recorder.failure}")
        return running.recorder.lines

    def close(self) -> None:
        """End a recording, if one runs."""
        if self._running is None:
            return
        for wiretap in self._running.wiretaps:
            wiretap.end()
        self._running.recorder.close()
        self._running = None
        self._sinks.clear()


class _Named:
    """The sink of one sensor."""

    def __init__(self, tap: Tap, by: str) -> None:
        self._tap = tap
        self._by = by

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        self._tap.at(self._by).row(group, boot_ms, values)

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        self._tap.at(self._by).mark(signal_ids, boot_ms, kind)

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        self._tap.event(kind, boot_ms, data, self._by)

    def anchor(self, anchor: TimeAnchor) -> None:
        self._tap.at(self._by).anchor(anchor)
