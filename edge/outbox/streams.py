"""What the outbox knows of one stream, in memory: which frames are held, acknowledged, forked, to be sent, gone."""

from collections.abc import Iterable, Iterator

import msgspec

from sync_protocol.ledger import Ranges
from sync_protocol.messages import Gap, GapReason, SeqRange, StreamState

_encode = msgspec.msgpack.Encoder().encode
decode_pairs = msgspec.msgpack.Decoder(tuple[SeqRange, ...]).decode


def overlap(ranges: Ranges, other: Iterable[SeqRange]) -> Ranges:
    """The numbers that are in both."""
    out = Ranges()
    for first, last in other:
        absent = ranges.missing(first, last)
        for a, b in absent.missing(first, last):
            out.add(a, b)
    return out


def without(ranges: Ranges, other: Iterable[SeqRange]) -> Ranges:
    """The numbers of `ranges` that are not in `other`."""
    out = Ranges(ranges)
    for first, last in other:
        out.remove(first, last)
    return out


class Stream:
    """One stream. Every number of 1..`last_seq` is held, acknowledged (then perhaps evicted), or in a gap.

    pending: held, neither acknowledged nor forked. urgent: those of `pending` that carry events.
    gaps: by reason and whether the cloud has written them down.
    """

    __slots__ = ("acked", "boot", "cause", "forked", "gaps", "held", "is_active", "is_dirty", "last_ms", "last_seq",
                 "no", "pending", "stream_id", "urgent")  # fmt: skip

    def __init__(self, no: int, stream_id: bytes, *, is_active: bool, cause: str, boot: int) -> None:
        self.no = no
        self.stream_id = stream_id
        self.is_active = is_active
        self.cause = cause
        self.boot = boot
        self.last_seq = 0
        self.last_ms = 0
        self.held = Ranges()
        self.acked = Ranges()
        self.forked = Ranges()
        self.pending = Ranges()
        self.urgent = Ranges()
        self.gaps: dict[tuple[GapReason, bool], Ranges] = {}
        self.is_dirty = False

    def add(self, seq: int, *, has_events: bool) -> None:
        """A frame is on disk."""
        self.last_seq = max(self.last_seq, seq)
        self.held.add(seq)
        if seq not in self.acked and seq not in self.forked:
            self.pending.add(seq)
            if has_events:
                self.urgent.add(seq)

    def ack(self, first: int, last: int) -> int:
        """The cloud has these frames. Returns how many of them were still to be sent."""
        first, last = max(first, 1), min(last, self.last_seq)
        if first > last:
            return 0
        before = self.pending.count()
        if self.acked.add(first, last):
            self.is_dirty = True
        for ranges in (self.pending, self.urgent, self.forked):
            ranges.remove(first, last)
        return before - self.pending.count()

    def fork(self, seqs: Iterable[int]) -> list[int]:
        """The cloud has other frames under these numbers: ours are not sent again. Returns those that are news."""
        news = sorted({seq for seq in seqs if seq in self.pending})
        for seq in news:
            self.forked.add(seq)
            self.pending.remove(seq)
            self.urgent.remove(seq)
            self.is_dirty = True
        return news

    def unfork(self, seq: int, *, has_events: bool) -> None:
        """Take `fork` back: the frame is to be sent after all."""
        self.forked.remove(seq)
        self.add(seq, has_events=has_events)

    def lose(self, first: int, last: int, reason: GapReason) -> None:
        """These frames are no longer here and were not acknowledged."""
        for ranges in (self.held, self.pending, self.urgent, self.forked):
            ranges.remove(first, last)
        self.gaps.setdefault((reason, False), Ranges()).add(first, last)

    def drop_acked(self, first: int, last: int) -> None:
        """These acknowledged frames have made room for others."""
        self.held.remove(first, last)

    def told_gaps(self, written: Ranges) -> bool:
        """File gaps as told or to be told (again) by what the cloud has written down. Returns whether any moved."""
        moved = False
        for (reason, is_told), ranges in list(self.gaps.items()):
            known = overlap(ranges, written)
            wrong = without(ranges, known) if is_told else known
            if not len(wrong):
                continue
            moved = True
            other = self.gaps.setdefault((reason, not is_told), Ranges())
            for first, last in wrong:
                ranges.remove(first, last)
                other.add(first, last)
        return moved

    def gap_rows(self) -> list[tuple[int, int, GapReason, bool]]:
        """(first, last, reason, is_told) of every gap, in order."""
        rows = [(a, b, reason, told) for (reason, told), ranges in self.gaps.items() for a, b in ranges]
        return sorted(rows)

    def untold(self) -> tuple[Gap, ...]:
        """The gaps that the cloud has not written down yet."""
        return tuple(Gap(a, b, reason) for a, b, reason, is_told in self.gap_rows() if not is_told)

    def state(self, most_gaps: int) -> StreamState:
        """For the hello."""
        return StreamState(
            stream_id=self.stream_id,
            is_active=self.is_active,
            last_seq=self.last_seq,
            acked=self.acked.pairs(),
            held=self.held.pairs(),
            gaps=self.untold()[:most_gaps],
        )

    def stored_fields(self) -> tuple[bytes, bytes]:
        """`acked` and `forked` as kept in the stream's row."""
        return _encode(self.acked.pairs()), _encode(self.forked.pairs())

    def load_fields(self, acked: bytes, forked: bytes) -> None:
        """Inverse of `stored_fields`."""
        self.acked = Ranges(decode_pairs(acked))
        self.forked = Ranges(decode_pairs(forked))


class Totals(msgspec.Struct, frozen=True):
    """Frames by where they are. `lost` left the device without having been acknowledged."""

    committed: int
    pending: int
    acked: int
    forked: int
    lost: int


def totals_of(streams: Iterable[Stream]) -> Totals:
    """Counts over streams."""
    known = list(streams)
    return Totals(
        committed=sum(s.last_seq for s in known),
        pending=sum(s.pending.count() for s in known),
        acked=sum(s.acked.count() for s in known),
        forked=sum(s.forked.count() for s in known),
        lost=sum(b - a + 1 for s in known for a, b, _, _ in s.gap_rows()),
    )


def evictable(streams: Iterable[Stream], most: int) -> Iterator[tuple[Stream, int, int, bool]]:
    """Frames in the order in which they leave when room is needed: (stream, first, last, whether it is a loss).

    Acknowledged ones and forked ones (both are safe in the cloud), then frames without events, then the others; each
    oldest first, at most `most` at a time.
    """
    ordered = list(streams)
    for stream in ordered:
        for first, last in overlap(stream.held, stream.acked):
            yield from ((stream, a, b, False) for a, b in _pieces(first, last, most))
    for stream in ordered:
        for first, last in overlap(stream.held, stream.forked):
            yield from ((stream, a, b, True) for a, b in _pieces(first, last, most))
    for plain in (True, False):
        for stream in ordered:
            of_class = without(stream.pending, stream.urgent) if plain else Ranges(stream.urgent)
            for first, last in of_class:
                yield from ((stream, a, b, True) for a, b in _pieces(first, last, most))


def _pieces(first: int, last: int, most: int) -> Iterator[SeqRange]:
    for a in range(first, last + 1, most):
        yield a, min(a + most - 1, last)
