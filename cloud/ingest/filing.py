"""Where every message finds its place in the ledger: frames, bad frames, hellos, anchors. In message order.

What a filing leaves to be written is gathered in `Pending` until the next commit. Runs in the decode thread.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from cloud.facts import (
    AlertRow,
    AnchorRow,
    Batch,
    Committed,
    DeviceRef,
    FrameRow,
    QuarantineKind,
    QuarantineRow,
    Registry,
    TimeSource,
    UnplacedBoot,
)
from cloud.ingest.acks import Acked
from cloud.ingest.book import Book, Filing, StreamEntry
from cloud.ingest.counters import IngestCounters
from cloud.ingest.hello import answer_hello, apply_hello
from cloud.ingest.limits import Limits
from sync_protocol import subjects
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import Header, frame_crc, read_header
from sync_protocol.messages import Hello, Meta, decode_hello, encode_down

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


class Pending:
    """What filing leaves for the next commit to write, and whom to tell then what.

    late: by device, the earliest (stream, seq) that came behind a later one. unchecked: frames whose number is stored
    under a checksum that only the store knows.
    """

    def __init__(self) -> None:
        self.boots: list[tuple[int, int, int, int]] = []
        self.anchors: list[AnchorRow] = []
        self.quarantined: list[QuarantineRow] = []
        self.alerts: dict[tuple[int, str], AlertRow] = {}
        self.acked: list[Acked] = []
        self.answers: list[tuple[str, bytes]] = []
        self.unchecked: list[tuple[StreamEntry, DeviceRef, Header, int, Message]] = []
        self.late: dict[int, tuple[int, int]] = {}


class Filer:
    """Owns the ledger in memory."""

    def __init__(
        self,
        limits: Limits,
        registry: Registry,
        writer: TelemetryWriter,
        counters: IngestCounters,
        clock_us: Callable[[], int],
    ) -> None:
        self.book = Book()
        self.counters = counters
        self.pending = Pending()
        self._registry = registry
        self._writer = writer
        self._limits = limits
        self._clock_us = clock_us

    def take_pending(self) -> Pending:
        """What the commit that begins now must write; a new one is begun."""
        self._check_duplicates()
        taken, self.pending = self.pending, Pending()
        return taken

    def drop(self, reason: str) -> None:
        self.counters.dropped[reason] += 1
        self.counters.waiting -= 1

    def _refuse(self, device: DeviceRef, kind: str, detail: str, now_us: int) -> None:
        self.drop(kind)
        self.pending.alerts[device.id, kind] = AlertRow(device, kind, detail, now_us)

    def frame(self, device: DeviceRef, message: Message, header: Header, meta: Meta) -> FrameRow | None:
        """File a frame that could be decoded. Its row when it is new and accepted."""
        entry = self._entry(device, header.stream_id, message)
        if entry is None:
            return None
        crc, seq = frame_crc(message.data), header.seq
        if entry.device_id != device.id:
            self._set_aside(device, None, seq, message, "foreign_stream", "the stream belongs to another device")
            self.pending.acked.append(Acked(device, header.stream_id, seq, crc, is_fork=True))
            self.counters.forked += 1
            return None
        stored = entry.ledger.stored
        highest = stored.highest()
        if seq != highest + 1 and seq not in stored:
            exceeded = self._limits.open_range(entry, seq)
            if exceeded is not None:
                self._refuse(device, "open_ranges", exceeded, message.received_us)
                return None
        filing = self.book.file(entry, seq, crc)
        if filing is not Filing.NEW:
            self._old(filing, entry, device, header, crc, message)
            return None
        if seq < highest or self.book.of_device(device.id)[-1] is not entry:
            place = (entry.no, seq)
            self.pending.late[device.id] = min(place, self.pending.late.get(device.id, place))
        self.book.saw(entry, message.received_us, self._clock_us())
        if header.boot not in entry.boots:
            entry.boots.add(header.boot)
            self.pending.boots.append((entry.no, header.boot, seq, message.received_us))
        for anchor in meta.anchors:
            uncertainty_ms = min(max(anchor.uncertainty_ms, 0), 1 << 40)
            self._anchor(
                AnchorRow(entry.no, header.boot, seq, anchor.boot_ms, anchor.utc_ms, anchor.source, uncertainty_ms)
            )
        self.pending.acked.append(Acked(device, header.stream_id, seq, crc))
        return FrameRow(device, entry.no, header, meta, crc, message.received_us, message.data)

    def _old(
        self, filing: Filing, entry: StreamEntry, device: DeviceRef, header: Header, crc: int, message: Message
    ) -> None:
        """A frame whose number is stored already."""
        if filing is Filing.DUPLICATE:
            self._duplicate(device, header, crc)
        elif filing is Filing.FORK:
            self._forked(entry, device, header, message)
        else:
            self.pending.unchecked.append((entry, device, header, crc, message))

    def _entry(self, device: DeviceRef, stream_id: bytes, message: Message) -> StreamEntry | None:
        """The stream of a frame within the device's limits, opened when it is new."""
        exceeded = self._limits.frame(device.id)
        if exceeded is not None:
            self._refuse(device, "frame_rate", exceeded, message.received_us)
            return None
        entry = self.book.find(stream_id)
        if entry is None:
            exceeded = self._limits.new_stream(device.id)
            if exceeded is not None:
                self._refuse(device, "new_streams", exceeded, message.received_us)
                return None
            entry = self.book.open(device, stream_id, message.received_us)
        return entry

    def _anchor(self, row: AnchorRow) -> None:
        if self._writer.anchor(row):
            self.pending.anchors.append(row)
        else:
            self.counters.anchors_refused += 1

    def _duplicate(self, device: DeviceRef, header: Header, crc: int) -> None:
        self.counters.duplicates += 1
        self.counters.waiting -= 1
        self.pending.acked.append(Acked(device, header.stream_id, header.seq, crc))

    def _forked(self, entry: StreamEntry, device: DeviceRef, header: Header, message: Message) -> None:
        self.book.fork(entry, header.seq)
        self._set_aside(device, entry.no, header.seq, message, "fork", "this seq is stored with another checksum")
        self.counters.forked += 1
        self.pending.acked.append(Acked(device, header.stream_id, header.seq, frame_crc(message.data), is_fork=True))

    def bad(self, device: DeviceRef, message: Message, error: Rejected | Unavailable) -> None:
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
            self.pending.acked.append(Acked(device, header.stream_id, seq, frame_crc(message.data)))

    def _set_aside(
        self, device: DeviceRef, no: int | None, seq: int | None, message: Message, kind: QuarantineKind, why: str
    ) -> None:
        self.counters.waiting -= 1
        self.pending.quarantined.append(
            QuarantineRow(device, no, seq, frame_crc(message.data), kind, why, message.received_us, message.data)
        )

    def hello(self, device: DeviceRef, message: Message) -> None:
        try:
            hello = _checked_hello(message.data)
        except Rejected as err:
            self._set_aside(device, None, None, message, "bad_hello", str(err))
            self.counters.quarantined += 1
            return
        refused = apply_hello(
            self.book, self._limits, device, hello, received_us=message.received_us, now_us=self._clock_us()
        )
        for detail in refused:
            self.pending.alerts[device.id, "new_streams"] = AlertRow(device, "new_streams", detail, message.received_us)
        self._registry.hello(device, hello)
        self._anchor_hello(device, hello, message.received_us)
        answer = answer_hello(self.book, device, hello, self._clock_us() // 1000)
        self.pending.answers.append((subjects.down(device.tenant, device.name), encode_down(answer)))
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

    def _check_duplicates(self) -> None:
        """Older frames that came again: compare their checksums with the store's."""
        if not self.pending.unchecked:
            return
        found = self._writer.stored_crcs([(entry.no, header.seq) for entry, _, header, _, _ in self.pending.unchecked])
        for entry, device, header, crc, message in self.pending.unchecked:
            if found[entry.no, header.seq] == crc:
                self._duplicate(device, header, crc)
            else:
                self._forked(entry, device, header, message)
        self.pending.unchecked.clear()


def _checked_hello(data: bytes) -> Hello:
    hello = decode_hello(data)
    if not (0 <= hello.boot < 1 << 16 and 0 <= hello.boot_ms < 1 << 48):
        raise Rejected(f"hello: boot {hello.boot} at {hello.boot_ms} ms")
    for state in hello.streams:
        if len(state.stream_id) != 16 or not 0 <= state.last_seq < _MAX_SEQ:
            raise Rejected(f"hello: stream {state.stream_id.hex()} up to {state.last_seq}")
    return hello
