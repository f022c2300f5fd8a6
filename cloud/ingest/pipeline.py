"""What happens to messages between the broker and the store, as one ordered list of steps.

A window is what arrived in some 20 ms. `take` leads it through `STEPS`; `commit` joins the windows since the last one
into one batch. Everything here runs in the decode thread, in message order.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import numpy as np

from cloud.config import LimitsConfig
from cloud.facts import (
    AlertRow,
    AnchorRow,
    Batch,
    Committed,
    DeviceRef,
    FrameRow,
    LiveUpdate,
    QuarantineKind,
    QuarantineRow,
    Registry,
    Samples,
    TimeSource,
    UnplacedBoot,
)
from cloud.ingest.acks import Acked
from cloud.ingest.book import Book, Filing, StreamEntry
from cloud.ingest.counters import IngestCounters
from cloud.ingest.hello import answer_hello, apply_hello
from cloud.ingest.limits import Limits
from cloud.ingest.newest import newest_values
from cloud.ingest.parts import accepted, joined
from sync_protocol import subjects
from sync_protocol.codec import Chunk, Header, decode_chunk, frame_crc, read_header
from sync_protocol.errors import Invalid, Rejected, Unavailable
from sync_protocol.header import is_frame
from sync_protocol.messages import Hello, Meta, decode_hello, encode_down, is_hello

_CHUNK_FRAMES = 200
_MAX_SEQ = 1 << 32
_CLOUD_UNCERTAINTY_MS = 2_000


class Message(NamedTuple):
    """One up message; `received_us` is when the broker had it."""

    subject: str
    data: bytes
    received_us: int


class TelemetryWriter(Protocol):
    """The store as ingest needs it (`cloud.telemetry.writer.TelemetryWriter`)."""

    def anchor(self, row: AnchorRow) -> bool: ...
    def source(self, stream_no: int, boot: int) -> TimeSource | None: ...
    def utc_ms(self, stream_no: int, boot: int, boot_ms: int) -> int | None: ...
    def unplaced(self) -> Sequence[UnplacedBoot]: ...
    def preload(self, keys: Sequence[tuple[int, int]]) -> None: ...
    def stored_crcs(self, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]: ...
    def commit(self, batch: Batch) -> "Future[Committed]": ...


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
    """Owns the ledger; turns messages into batches."""

    def __init__(
        self, config: LimitsConfig, registry: Registry, writer: TelemetryWriter, clock_us: Callable[[], int]
    ) -> None:
        self.book = Book()
        self.counters = IngestCounters()
        self._registry = registry
        self._writer = writer
        self._limits = Limits(config)
        self._clock_us = clock_us
        self._devices: dict[str, DeviceRef] = {}
        self._new_batch()

    def _new_batch(self) -> None:
        self._frames: list[FrameRow] = []
        self._samples: list[tuple[int, Samples]] = []
        self._boots: list[tuple[int, int, int, int]] = []
        self._anchors: list[AnchorRow] = []
        self._quarantined: list[QuarantineRow] = []
        self._alerts: dict[tuple[int, str], AlertRow] = {}
        self._live: list[LiveUpdate] = []
        self._acked: list[Acked] = []
        self._answers: list[tuple[str, bytes]] = []
        self._unchecked: list[tuple[StreamEntry, DeviceRef, Header, int, Message]] = []
        self._late: dict[int, tuple[int, int]] = {}
        self._messages = 0

    @property
    def pending_messages(self) -> int:
        """Messages taken in since the last commit."""
        return self._messages

    @property
    def has_pending(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._messages or self._anchors)

    def take(self, messages: Sequence[Message]) -> LiveUpdate:
        """Lead a window through the steps. Returns the newest values it brought."""
        self.counters.received += len(messages)
        self.counters.waiting += len(messages)
        self._messages += len(messages)
        window = Window(messages)
        for step in STEPS:
            step(self, window)
        assert window.live is not None  # the last step makes it
        return window.live

    # -- the steps ----------------------------------------------------------------------------------------------------

    def identify(self, window: Window) -> None:
        """Whose message it is; the subject is the only identity that counts."""
        window.devices = [self._device(message.subject) for message in window.messages]

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
        for i, message in enumerate(window.messages):
            device = window.devices[i]
            if device is None:
                self._drop("unknown_device")
            elif i in window.decoded:
                header, meta = window.decoded[i]
                if self._file_frame(window, device, message, header, meta):
                    window.accepted[i] = len(window.frames) - 1
            elif i in window.errors:
                self._file_bad(device, message, window.errors[i])
            elif is_hello(message.data):
                self._file_hello(device, message)
            else:
                self._drop("no_magic")

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
            if len(samples.row_ms):
                window.parts.append(samples)
                self._samples.append((base, samples))
        self._frames.extend(window.frames)

    def go_live(self, window: Window) -> None:
        """The newest value of each signal of each accepted frame."""
        window.live = newest_values(window.frames, window.parts, self._writer.utc_ms, self._registry.vehicle_at)
        if window.live.vehicle_ids:
            self._live.append(window.live)

    # -- filing -------------------------------------------------------------------------------------------------------

    def _device(self, subject: str) -> DeviceRef | None:
        known = self._devices.get(subject)
        if known is None:
            try:
                tenant, name = subjects.parse_up(subject)
            except Invalid:
                return None
            known = self._registry.device(tenant, name)
            if known is not None:
                self._devices[subject] = known
        return known

    def _drop(self, reason: str) -> None:
        self.counters.dropped[reason] += 1
        self.counters.waiting -= 1

    def _refuse(self, device: DeviceRef, kind: str, detail: str, now_us: int) -> None:
        self._drop(kind)
        self._alerts[device.id, kind] = AlertRow(device, kind, detail, now_us)

    def _file_frame(self, window: Window, device: DeviceRef, message: Message, header: Header, meta: Meta) -> bool:
        """Whether the frame is new and accepted."""
        entry = self._entry(device, header.stream_id, message)
        if entry is None:
            return False
        if entry.device_id != device.id:
            self._set_aside(device, None, header.seq, message, "foreign_stream", "the stream belongs to another device")
            self._acked.append(Acked(device, header.stream_id, header.seq, frame_crc(message.data), is_fork=True))
            self.counters.forked += 1
            return False
        if header.seq not in entry.ledger.stored:
            exceeded = self._limits.open_range(entry, header.seq)
            if exceeded is not None:
                self._refuse(device, "open_ranges", exceeded, message.received_us)
                return False
        is_late = header.seq < entry.ledger.stored.highest() or self.book.of_device(device.id)[-1] is not entry
        crc = frame_crc(message.data)
        filing = self.book.file(entry, header.seq, crc)
        if filing is Filing.NEW:
            if is_late:
                place = (entry.no, header.seq)
                self._late[device.id] = min(place, self._late.get(device.id, place))
            self.book.saw(entry, message.received_us)
            self._open_boot(entry, header, message.received_us)
            for anchor in meta.anchors:
                self._anchor(
                    AnchorRow(
                        entry.no,
                        header.boot,
                        header.seq,
                        anchor.boot_ms,
                        anchor.utc_ms,
                        anchor.source,
                        min(max(anchor.uncertainty_ms, 0), 1 << 40),
                    )
                )
            window.frames.append(FrameRow(device, entry.no, header, meta, crc, message.received_us, message.data))
            self._acked.append(Acked(device, header.stream_id, header.seq, crc))
            return True
        if filing is Filing.DUPLICATE:
            self._duplicate(device, header, crc)
        elif filing is Filing.FORK:
            self._forked(entry, device, header, message)
        else:
            self._unchecked.append((entry, device, header, crc, message))
        return False

    def _entry(self, device: DeviceRef, stream_id: bytes, message: Message) -> StreamEntry | None:
        """The stream of a frame within the device's limits, opened when it is new."""
        exceeded = self._limits.frame(device.id, self._clock_us())
        if exceeded is not None:
            self._refuse(device, "frame_rate", exceeded, message.received_us)
            return None
        entry = self.book.find(stream_id)
        if entry is None:
            exceeded = self._limits.new_stream(device.id, self._clock_us())
            if exceeded is not None:
                self._refuse(device, "new_streams", exceeded, message.received_us)
                return None
            entry = self.book.open(device, stream_id, message.received_us)
        return entry

    def _open_boot(self, entry: StreamEntry, header: Header, received_us: int) -> None:
        if header.boot not in entry.boots:
            entry.boots.add(header.boot)
            self._boots.append((entry.no, header.boot, header.seq, received_us))

    def _anchor(self, row: AnchorRow) -> None:
        if self._writer.anchor(row):
            self._anchors.append(row)
        else:
            self.counters.anchors_refused += 1

    def _duplicate(self, device: DeviceRef, header: Header, crc: int) -> None:
        self.counters.duplicates += 1
        self.counters.waiting -= 1
        self._acked.append(Acked(device, header.stream_id, header.seq, crc))

    def _forked(self, entry: StreamEntry, device: DeviceRef, header: Header, message: Message) -> None:
        self.book.fork(entry, header.seq)
        self._set_aside(device, entry.no, header.seq, message, "fork", "this seq is stored with another checksum")
        self.counters.forked += 1
        self._acked.append(Acked(device, header.stream_id, header.seq, frame_crc(message.data), is_fork=True))

    def _file_bad(self, device: DeviceRef, message: Message, error: Rejected | Unavailable) -> None:
        try:
            header = read_header(message.data)
        except (Rejected, Unavailable):
            header = None  # no identity that could be believed: kept, shown, never acknowledged
        entry = None if header is None else self._entry(device, header.stream_id, message)
        if header is not None and entry is None:
            return
        is_own = entry is not None and entry.device_id == device.id
        seq = header.seq if header is not None else None
        no = entry.no if entry is not None and is_own else None
        if isinstance(error, Unavailable):
            self._set_aside(device, no, seq, message, "unavailable", str(error))
            self.counters.unavailable += 1
            if entry is not None and is_own and seq is not None:
                self.book.speak_of(entry, seq)
            return
        if entry is not None and is_own and seq is not None and header is not None and seq in entry.ledger.stored:
            self._forked(entry, device, header, message)
            return
        self._set_aside(device, no, seq, message, "undecodable", str(error))
        self.counters.quarantined += 1
        if entry is not None and is_own and seq is not None and header is not None:
            self.book.quarantine(entry, seq)
            self._acked.append(Acked(device, header.stream_id, seq, frame_crc(message.data)))

    def _set_aside(
        self, device: DeviceRef, no: int | None, seq: int | None, message: Message, kind: QuarantineKind, why: str
    ) -> None:
        self.counters.waiting -= 1
        self._quarantined.append(
            QuarantineRow(device, no, seq, frame_crc(message.data), kind, why, message.received_us, message.data)
        )

    def _file_hello(self, device: DeviceRef, message: Message) -> None:
        try:
            hello = _checked_hello(message.data)
        except Rejected as err:
            self._set_aside(device, None, None, message, "bad_hello", str(err))
            self.counters.quarantined += 1
            return
        refused = apply_hello(self.book, self._limits, device, hello, message.received_us)
        for detail in refused:
            self._alerts[device.id, "new_streams"] = AlertRow(device, "new_streams", detail, message.received_us)
        self._registry.hello(device, hello)
        self._anchor_hello(device, hello, message.received_us)
        answer = answer_hello(self.book, device, hello, self._clock_us() // 1000)
        self._answers.append((subjects.down(device.tenant, device.name), encode_down(answer)))
        self.counters.hellos += 1
        self.counters.waiting -= 1

    def _anchor_hello(self, device: DeviceRef, hello: Hello, received_us: int) -> None:
        """A boot without any anchor gets one from its hello: the device's own time, or the broker's."""
        for state in hello.streams:
            entry = self.book.find(state.stream_id)
            if entry is None or entry.device_id != device.id or not state.is_active:
                continue
            if self._writer.source(entry.no, hello.boot) not in (None, "placed", "guess"):
                continue
            if hello.utc_ms is not None and hello.utc_source not in (None, "guess"):
                utc_ms, source = hello.utc_ms, hello.utc_source
            else:
                utc_ms, source = received_us // 1000, "cloud"
            self._anchor(AnchorRow(entry.no, hello.boot, 0, hello.boot_ms, utc_ms, source, _CLOUD_UNCERTAINTY_MS))

    def place_boots(self) -> int:
        """Give boots that never had an anchor, and whose successor has one, a place between their neighbours.

        In the middle: that is where the error is smallest. Returns how many.
        """
        count = 0
        for boot in self._writer.unplaced():
            if self.book.is_pending_before(boot.stream_no, boot.closes_at):
                continue
            room_ms = boot.next_start_ms - (boot.last_ms - boot.first_ms) - 1000
            earliest_ms = room_ms if boot.previous_end_ms is None else min(boot.previous_end_ms + 1000, room_ms)
            begin_ms = (earliest_ms + room_ms) // 2
            uncertainty_ms = (room_ms - earliest_ms) // 2 if boot.previous_end_ms is not None else 1 << 40
            row = AnchorRow(boot.stream_no, boot.boot, 0, boot.first_ms, begin_ms, "placed", uncertainty_ms)
            self._anchor(row)
            count += 1
        return count

    # -- commit -------------------------------------------------------------------------------------------------------

    def commit(self) -> Committing | None:
        """Hand everything since the last commit to the store, None when there is nothing."""
        if not self.has_pending:
            return None
        self._check_duplicates()
        streams, ranges = self.book.take_changes()
        batch = Batch(
            self._frames,
            joined(self._samples),
            streams,
            self._boots,
            ranges,
            self._anchors,
            self._quarantined,
            list(self._alerts.values()),
            self._late,
            self._live,
        )
        committing = Committing(
            self._writer.commit(batch),
            self._acked,
            self._answers,
            frozenset(frame.device.id for frame in self._frames),
            len(self._frames),
            sum(frame.header.samples for frame in self._frames),
            self._messages,
            bool(self._late),
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

    def _check_duplicates(self) -> None:
        """Older frames that came again: compare their checksums with the store's."""
        if not self._unchecked:
            return
        found = self._writer.stored_crcs([(entry.no, header.seq) for entry, _, header, _, _ in self._unchecked])
        for entry, device, header, crc, message in self._unchecked:
            if found[entry.no, header.seq] == crc:
                self._duplicate(device, header, crc)
            else:
                self._forked(entry, device, header, message)
        self._unchecked = []


STEPS: tuple[Callable[[Pipeline, Window], None], ...] = (
    Pipeline.identify,
    Pipeline.decode,
    Pipeline.load_time,
    Pipeline.file,
    Pipeline.keep_samples,
    Pipeline.go_live,
)


def _checked_hello(data: bytes) -> Hello:
    hello = decode_hello(data)
    if not (0 <= hello.boot < 1 << 16 and 0 <= hello.boot_ms < 1 << 48):
        raise Rejected(f"hello: boot {hello.boot} at {hello.boot_ms} ms")
    for state in hello.streams:
        if len(state.stream_id) != 16 or not 0 <= state.last_seq < _MAX_SEQ:
            raise Rejected(f"hello: stream {state.stream_id.hex()} up to {state.last_seq}")
    return hello
