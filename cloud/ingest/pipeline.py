"""What happens to messages between the broker and the store, as one ordered list of steps.

A window is what arrived in some 20 ms. `take` leads it through `STEPS`; `commit` joins the windows since the last one
into one batch. Everything here runs in the decode thread, in message order.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

import numpy as np

from cloud.config import LimitsConfig
from cloud.facts import Batch, Committed, DeviceRef, FrameRow, LiveUpdate, Registry, Samples
from cloud.ingest.acks import Acked
from cloud.ingest.book import Book
from cloud.ingest.counters import IngestCounters
from cloud.ingest.filing import Filer, Message, TelemetryWriter
from cloud.ingest.limits import Limits
from cloud.ingest.newest import newest_values
from cloud.ingest.parts import accepted, joined
from sync_protocol import subjects
from sync_protocol.bundle import is_bundle, unpack
from sync_protocol.codec import Chunk, Header, decode_chunk
from sync_protocol.errors import Invalid, Rejected, Unavailable
from sync_protocol.header import is_frame
from sync_protocol.messages import Meta, is_hello
from sync_protocol.short import is_short, restore

__all__ = ["Committing", "Message", "Pipeline", "TelemetryWriter"]

_CHUNK_FRAMES = 200
_STREAMS_TRIED = 8


class Window:
    """Messages on their way through the steps."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.devices: list[DeviceRef | None] = []
        self.frames: list[FrameRow] = []
        self.parts: list[Samples] = []
        self.decoded: dict[int, tuple[Header, Meta]] = {}
        self.errors: dict[int, Rejected | Unavailable] = {}
        self.chunks: list[tuple[int, Chunk]] = []
        self.accepted: dict[int, int] = {}
        self.live: LiveUpdate | None = None


class Committing(NamedTuple):
    """A batch under way, and what to tell whom once it is committed."""

    future: "Future[Committed]"
    acked: list[Acked]
    answers: list[tuple[str, bytes]]
    device_ids: frozenset[int]
    frames: int
    samples: int
    messages: int
    has_late: bool


class Pipeline:
    """Turns messages into batches."""

    def __init__(
        self,
        config: LimitsConfig,
        registry: Registry,
        writer: TelemetryWriter,
        clock_us: Callable[[], int],
        passed_us: Callable[[], int],
    ) -> None:
        """`clock_us` gives UTC, for the answers to hellos; `passed_us` a clock that never steps, for the limits."""
        self.counters = IngestCounters()
        self._registry = registry
        self._writer = writer
        self._filer = Filer(Limits(config, passed_us), registry, writer, self.counters, clock_us)
        self._devices: dict[str, DeviceRef] = {}
        self._new_batch()

    def _new_batch(self) -> None:
        self._frames: list[FrameRow] = []
        self._samples: list[tuple[int, Samples]] = []
        self._live: list[LiveUpdate] = []
        self._messages = 0
        self.pending_samples = 0

    @property
    def book(self) -> Book:
        """The ledger in memory."""
        return self._filer.book

    @property
    def pending_messages(self) -> int:
        """Messages taken in since the last commit."""
        return self._messages

    @property
    def has_pending(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._messages or self._filer.pending.anchors)

    def take(self, messages: Sequence[Message]) -> LiveUpdate:
        """Lead a window through the steps. Returns the newest values it brought. Frames of a bundle count singly."""
        self._count(len(messages))
        window = Window(messages)
        for step in STEPS:
            step(self, window)
        assert window.live is not None  # the last step makes it
        return window.live

    def _count(self, messages: int) -> None:
        self.counters.received += messages
        self.counters.waiting += messages
        self._messages += messages

    def place_boots(self) -> int:
        """Give boots that nobody gave a time a place between their neighbours. Returns how many."""
        return self._filer.place_boots()

    # -- the steps ----------------------------------------------------------------------------------------------------

    def identify(self, window: Window) -> None:
        """Whose message it is; the subject is the only identity that counts."""
        new = [subject for subject in dict.fromkeys(m.subject for m in window.messages) if subject not in self._devices]
        if len(new) > 1:  # a transaction for all: one each would hold up the live view for seconds
            self._registry.meet([place for subject in new if (place := _place(subject)) is not None])
        window.devices = [self._device(message.subject) for message in window.messages]

    def unpack(self, window: Window) -> None:
        """Bundles and short forms to their frames: each goes on as if it had come alone and whole.

        What cannot be opened stays as it is.
        """
        if not any(is_bundle(message.data) or is_short(message.data) for message in window.messages):
            return
        messages: list[Message] = []
        devices: list[DeviceRef | None] = []
        for message, device in zip(window.messages, window.devices, strict=True):
            frames = [message.data]
            try:
                if device is not None and is_bundle(message.data):
                    frames = unpack(message.data)
                elif device is not None and is_short(message.data):
                    newest = reversed(self.book.of_device(device.id)[-_STREAMS_TRIED:])
                    frames = [restore(message.data, (entry.stream_id for entry in newest))]
            except (Rejected, Unavailable) as err:
                window.errors[len(messages)] = err
            messages += [message._replace(data=frame) for frame in frames]
            devices += [device] * len(frames)
        self._count(len(messages) - len(window.messages))
        window.messages, window.devices = messages, devices

    def decode(self, window: Window) -> None:
        """Frames to headers, meta and samples, many at a time."""
        at = [
            i for i, message in enumerate(window.messages) if window.devices[i] is not None and is_frame(message.data)
        ]
        for start in range(0, len(at), _CHUNK_FRAMES):
            part = at[start : start + _CHUNK_FRAMES]
            chunk = decode_chunk([window.messages[i].data for i in part])
            window.chunks.append((len(window.decoded), chunk))
            for index, header, meta in chunk.frames:
                window.decoded[part[index]] = (header, meta)
            for index, error in chunk.bad:
                assert isinstance(error, Rejected | Unavailable)
                window.errors[part[index]] = error

    def load_time(self, window: Window) -> None:
        """Have the timelines of all boots that occur at hand, in one read."""
        keys = {
            (entry.no, header.boot)
            for header, _ in window.decoded.values()
            if (entry := self.book.find(header.stream_id)) is not None
        }
        self._writer.preload(list(keys))

    def file(self, window: Window) -> None:
        """Every message to its place in the ledger, in order."""
        filer, decoded, frames = self._filer, window.decoded, window.frames
        for i, (message, device) in enumerate(zip(window.messages, window.devices, strict=True)):
            if device is None:
                filer.drop("unknown_device")
            elif (found := decoded.get(i)) is not None:
                row = filer.frame(device, message, *found)
                if row is not None:
                    window.accepted[i] = len(frames)
                    frames.append(row)
            elif i in window.errors:
                filer.bad(device, message, window.errors[i])
            elif is_hello(message.data):
                filer.hello(device, message)
            else:
                filer.drop("no_magic")

    def keep_samples(self, window: Window) -> None:
        """Set the samples of the accepted frames aside for the commit."""
        position = 0
        order = list(window.decoded)
        base = len(self._frames)
        for _, chunk in window.chunks:
            count = len(chunk.frames)
            target = np.array([window.accepted.get(i, -1) for i in order[position : position + count]], np.int32)
            position += count
            samples = accepted(chunk, target)
            self.pending_samples += len(samples.cell_raw)
            if len(samples.row_ms):
                window.parts.append(samples)
                self._samples.append((base, samples))
        self._frames.extend(window.frames)

    def go_live(self, window: Window) -> None:
        """The newest value of each signal of each accepted frame."""
        window.live = newest_values(window.frames, window.parts, self._writer.utc_ms, self._registry.vehicle_at)
        if window.live.vehicle_ids:
            self._live.append(window.live)

    def _device(self, subject: str) -> DeviceRef | None:
        known = self._devices.get(subject)
        if known is None:
            place = _place(subject)
            known = None if place is None else self._registry.device(*place)
            if known is not None:
                self._devices[subject] = known
        return known

    # -- commit -------------------------------------------------------------------------------------------------------

    def commit(self) -> Committing | None:
        """Hand everything since the last commit to the store, None when there is nothing."""
        if not self.has_pending:
            return None
        pending = self._filer.take_pending()
        streams, ranges = self.book.take_changes()
        batch = Batch(
            self._frames,
            joined(self._samples),
            streams,
            pending.boots,
            ranges,
            pending.anchors,
            pending.quarantined,
            list(pending.alerts.values()),
            pending.late,
            self._live,
        )
        committing = Committing(
            self._writer.commit(batch),
            pending.acked,
            pending.answers,
            frozenset([frame.device.id for frame in self._frames]),
            len(self._frames),
            sum([frame.header.samples for frame in self._frames]),
            self._messages,
            bool(pending.late),
        )
        self._new_batch()
        return committing

    def committed(self, done: Committing) -> None:
        """Count a batch that is committed."""
        self.book.committed()
        self.counters.stored += done.frames
        self.counters.waiting -= done.frames
        self.counters.samples += done.samples
        self.counters.commits += 1


def _place(subject: str) -> tuple[str, str] | None:
    """Tenant and device of a subject, None for what is none of ours."""
    try:
        return subjects.parse_up(subject)
    except Invalid:
        return None


STEPS: tuple[Callable[[Pipeline, Window], None], ...] = (
    Pipeline.identify,
    Pipeline.unpack,
    Pipeline.decode,
    Pipeline.load_time,
    Pipeline.file,
    Pipeline.keep_samples,
    Pipeline.go_live,
)
