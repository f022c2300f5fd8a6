"""The ledger in memory: every stream's ranges, whose it is, and how a frame that arrives is filed.

Changed only by the decode thread, and one commit ahead of the store: a commit that fails must end the process.
"""

from array import array
from collections.abc import Iterable
from enum import Enum

from cloud.facts import DeviceRef, RangeRow, StreamRow
from sync_protocol.ledger import Ranges, StreamLedger
from sync_protocol.messages import Gap

_RECENT = 32
_SEEN_EVERY_US = 60_000_000


class Filing(Enum):
    """What became of a frame."""

    NEW = "new"
    DUPLICATE = "duplicate"
    FORK = "fork"
    UNCHECKED = "unchecked"  # a duplicate or a fork: only the store knows the checksum


class StreamEntry:
    """One stream of one device."""

    __slots__ = (
        "_crcs",
        "_seqs",
        "boots",
        "device_id",
        "first_seen_us",
        "forked",
        "is_active",
        "last_seen_us",
        "ledger",
        "no",
        "saved_seen_us",
        "stream_id",
        "tenant_id",
    )

    def __init__(self, row: StreamRow) -> None:
        self.no = row.stream_no
        self.stream_id = row.stream_id
        self.device_id = row.device_id
        self.tenant_id = row.tenant_id
        self.first_seen_us = row.first_seen_us
        self.last_seen_us = row.last_seen_us
        self.saved_seen_us = 0
        self.is_active = row.is_active
        self.ledger = StreamLedger()
        self.forked = Ranges()
        self.boots: set[int] = set()
        # The checksums of the newest frames, by seq modulo the size: a resent frame is nearly always a recent one.
        self._seqs = array("Q", bytes(8 * _RECENT))
        self._crcs = array("L", bytes(array("L").itemsize * _RECENT))

    def remember(self, seq: int, crc: int) -> None:
        """Keep a stored frame's checksum among the recent ones."""
        self._seqs[seq % _RECENT] = seq
        self._crcs[seq % _RECENT] = crc

    def recent_crc(self, seq: int) -> int | None:
        """The checksum of a stored frame if it is among the recent ones."""
        return self._crcs[seq % _RECENT] if self._seqs[seq % _RECENT] == seq else None

    def row(self) -> StreamRow:
        """As the store keeps it."""
        return StreamRow(
            self.no,
            self.tenant_id,
            self.device_id,
            self.stream_id,
            self.first_seen_us,
            self.last_seen_us,
            self.is_active,
        )

    def ranges(self) -> list[RangeRow]:
        """All ranges as the store keeps them."""
        ledger = self.ledger
        if len(ledger.stored) == 1 and not (ledger.quarantined or ledger.lost or self.forked):
            ((first, last),) = ledger.stored
            if last == ledger.last_seq:
                return [RangeRow(self.no, "stored", first, last, None)]
        rows = [RangeRow(self.no, "stored", first, last, None) for first, last in ledger.stored]
        rows += [RangeRow(self.no, "quarantined", first, last, None) for first, last in ledger.quarantined]
        rows += [RangeRow(self.no, "lost", gap.first, gap.last, gap.reason) for gap in ledger.lost_gaps()]
        rows += [RangeRow(self.no, "forked", first, last, None) for first, last in self.forked]
        if ledger.last_seq > ledger.stored.highest():
            rows.append(RangeRow(self.no, "spoken_of", 1, ledger.last_seq, None))
        return rows


class Book:
    """All streams. `uncommitted` holds the checksums of frames whose commit is under way, newest batch last."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, StreamEntry] = {}
        self._of_device: dict[int, list[StreamEntry]] = {}
        self._next_no = 1
        self.uncommitted: list[dict[tuple[int, int], int]] = [{}]
        self.touched: dict[int, StreamEntry] = {}
        self.changed: dict[int, StreamEntry] = {}

    def load(self, streams: Iterable[StreamRow], ranges: Iterable[RangeRow], boots: Iterable[tuple[int, int]]) -> None:
        """Take over what the store has."""
        by_no: dict[int, StreamEntry] = {}
        for row in sorted(streams):
            entry = by_no[row.stream_no] = self._enter(row)
            entry.saved_seen_us = row.last_seen_us
        for stream_no, state, first, last, reason in ranges:
            entry = by_no[stream_no]
            if state == "stored":
                entry.ledger.store(first, last)
            elif state == "quarantined":
                for seq in range(first, last + 1):
                    entry.ledger.quarantine(seq)
            elif state == "lost":
                entry.ledger.lose(Gap(first, last, reason))  # type: ignore[arg-type]  # written from a Gap
            elif state == "forked":
                entry.forked.add(first, last)
            else:
                entry.ledger.saw(last)
        for stream_no, boot in boots:
            by_no[stream_no].boots.add(boot)

    def number_above(self, stream_no: int) -> None:
        """Give no number up to this one: what derive knows under it may be gone from a store put back from a copy."""
        self._next_no = max(self._next_no, stream_no + 1)

    def find(self, stream_id: bytes) -> StreamEntry | None:
        """The stream with this id."""
        return self._by_id.get(stream_id)

    def of_device(self, device_id: int) -> list[StreamEntry]:
        """A device's streams, oldest first."""
        return self._of_device.get(device_id, [])

    def streams(self) -> Iterable[StreamEntry]:
        """Every stream."""
        return self._by_id.values()

    def is_pending_before(self, stream_no: int, closes_at: tuple[int, int]) -> bool:
        """Whether frames of a stream may still come before (stream_no, seq); all of it when that is another stream."""
        entry = next((e for e in self._by_id.values() if e.no == stream_no), None)
        if entry is None:
            return True
        last = closes_at[1] - 1 if closes_at[0] == stream_no else entry.ledger.last_seq
        return any(first <= last for first, _ in entry.ledger.pending())

    def open(self, device: DeviceRef, stream_id: bytes, now_us: int) -> StreamEntry:
        """Enter a stream that was never seen; it is this device's for ever."""
        entry = self._enter(StreamRow(self._next_no, device.tenant_id, device.id, stream_id, now_us, now_us, True))
        self.changed[entry.no] = entry
        return entry

    def _enter(self, row: StreamRow) -> StreamEntry:
        entry = StreamEntry(row)
        self._by_id[row.stream_id] = entry
        self._of_device.setdefault(row.device_id, []).append(entry)
        self._next_no = max(self._next_no, row.stream_no + 1)
        return entry

    def saw(self, entry: StreamEntry, seen_us: int, now_us: int) -> None:
        """A sign of life of a stream; at most once a minute written down. Never in the future: clocks step."""
        entry.last_seen_us = min(max(entry.last_seen_us, seen_us), now_us)
        if abs(entry.last_seen_us - entry.saved_seen_us) > _SEEN_EVERY_US:
            entry.saved_seen_us = entry.last_seen_us
            self.changed[entry.no] = entry

    def file(self, entry: StreamEntry, seq: int, crc: int) -> Filing:
        """File a good frame: new ones are stored from here on."""
        if seq in entry.ledger.stored:
            known = self.known_crc(entry, seq)
            if known is None:
                return Filing.UNCHECKED
            return Filing.DUPLICATE if known == crc else self.fork(entry, seq)
        entry.ledger.store(seq)
        entry.remember(seq, crc)
        self.uncommitted[-1][entry.no, seq] = crc
        self.touched[entry.no] = entry
        return Filing.NEW

    def known_crc(self, entry: StreamEntry, seq: int) -> int | None:
        """The checksum of a stored frame, None when only the store knows it."""
        recent = entry.recent_crc(seq)
        if recent is not None:
            return recent
        for batch in self.uncommitted:
            crc = batch.get((entry.no, seq))
            if crc is not None:
                return crc
        return None

    def fork(self, entry: StreamEntry, seq: int) -> Filing:
        """Note that a stored seq came again with other bytes."""
        if entry.forked.add(seq):
            self.touched[entry.no] = entry
        return Filing.FORK

    def quarantine(self, entry: StreamEntry, seq: int) -> None:
        """File a frame that cannot be decoded."""
        if entry.ledger.quarantine(seq):
            self.touched[entry.no] = entry

    def lose(self, entry: StreamEntry, gap: Gap) -> int:
        """File frames that the device no longer has. Returns how many are newly lost."""
        before = entry.ledger.last_seq
        new = entry.ledger.lose(gap)
        if new or entry.ledger.last_seq != before:
            self.touched[entry.no] = entry
        return new

    def speak_of(self, entry: StreamEntry, last_seq: int) -> None:
        """The device has committed frames up to `last_seq`."""
        if last_seq > entry.ledger.last_seq:
            entry.ledger.saw(last_seq)
            self.touched[entry.no] = entry

    def activate(self, entry: StreamEntry, is_active: bool) -> None:
        """Whether the device still adds to this stream."""
        if entry.is_active != is_active:
            entry.is_active = is_active
            self.changed[entry.no] = entry

    def take_changes(self) -> tuple[list[StreamRow], dict[int, list[RangeRow]]]:
        """What the next commit must write: stream rows, and all ranges of the touched streams. Starts a new batch."""
        rows = [entry.row() for entry in self.changed.values()]
        ranges = {no: entry.ranges() for no, entry in self.touched.items()}
        self.changed, self.touched = {}, {}
        self.uncommitted.append({})
        return rows, ranges

    def committed(self) -> None:
        """The oldest batch under way is committed."""
        self.uncommitted = self.uncommitted[1:]
