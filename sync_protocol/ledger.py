"""Sequence ranges: which frames of a stream are stored, lost, quarantined, and which are still to come.

A `Ranges` holds disjoint, sorted, closed ranges of integers; adjacent ones are joined, so a stream without gaps is one
pair however long it runs. A `StreamLedger` files every sequence number under exactly one heading.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from sync_protocol.messages import Gap, SeqRange


class Ranges:
    """A set of sequence numbers, kept as ranges. Adding and looking up cost O(log ranges), plus the merge."""

    __slots__ = ("_first", "_last")

    def __init__(self, ranges: Iterable[SeqRange] = ()) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int | None = None) -> int:
        """Add `first` to `last` (both included; one number when `last` is None). Returns how many were new."""
        last = first if last is None else last
        if last < first:
            raise ValueError(f"range {first}..{last}: expected first <= last")
        if self._last and first == self._last[-1] + 1:  # nearly always: the next number of a stream
            self._last[-1] = last
            return last - first + 1
        lo = bisect_left(self._last, first - 1)
        hi = bisect_right(self._first, last + 1)
        covered = 0
        for i in range(lo, hi):
            covered += max(0, min(last, self._last[i]) - max(first, self._first[i]) + 1)
        new_first = min(first, self._first[lo]) if lo < hi else first
        new_last = max(last, self._last[hi - 1]) if lo < hi else last
        self._first[lo:hi] = [new_first]
        self._last[lo:hi] = [new_last]
        return last - first + 1 - covered

    def remove(self, first: int, last: int | None = None) -> None:
        """Take `first` to `last` out; numbers that are not in are passed over."""
        if not self._last:
            return
        last = first if last is None else last
        lo = bisect_left(self._last, first)
        hi = bisect_right(self._first, last)
        if lo >= hi:
            return
        kept = [(self._first[lo], first - 1), (last + 1, self._last[hi - 1])]
        kept = [(a, b) for a, b in kept if a <= b]
        self._first[lo:hi] = [a for a, _ in kept]
        self._last[lo:hi] = [b for _, b in kept]

    def __contains__(self, seq: int) -> bool:
        if not self._last or seq > self._last[-1]:
            return False
        i = bisect_right(self._first, seq) - 1
        return i >= 0 and seq <= self._last[i]

    def __iter__(self) -> Iterator[SeqRange]:
        return iter(zip(self._first, self._last, strict=True))

    def __len__(self) -> int:
        """Number of ranges, not of numbers."""
        return len(self._first)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._first == other._first and self._last == other._last

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Ranges({self.pairs()!r})"

    def pairs(self) -> tuple[SeqRange, ...]:
        """The ranges as a tuple of (first, last)."""
        return tuple(self)

    def count(self) -> int:
        """How many numbers are in."""
        return sum(self._last) - sum(self._first) + len(self._first)

    def highest(self) -> int:
        """The largest number, 0 when empty."""
        return self._last[-1] if self._last else 0

    def mark(self) -> int:
        """The largest n such that all of 1..n are in, 0 when 1 is not."""
        return self._last[0] if self._first and self._first[0] <= 1 else 0

    def missing(self, first: int, last: int) -> "Ranges":
        """The numbers of `first`..`last` that are not in."""
        out = Ranges([(first, last)] if first <= last else [])
        for a, b in self:
            out.remove(a, b)
        return out


class StreamLedger:
    """Files every sequence number from 1 to `last_seq` as stored, lost, quarantined, or pending.

    A frame that arrives after it was declared lost is stored: the better truth wins. `last_seq` is the highest
    number anyone has spoken of.
    """

    __slots__ = ("last_seq", "lost", "quarantined", "reasons", "stored")

    def __init__(self) -> None:
        self.stored = Ranges()
        self.quarantined = Ranges()
        self.lost = Ranges()
        self.reasons: list[Gap] = []
        self.last_seq = 0

    def store(self, first: int, last: int | None = None) -> int:
        """File as stored. Returns how many were not stored before."""
        last = first if last is None else last
        self.lost.remove(first, last)
        self.quarantined.remove(first, last)
        self.last_seq = max(self.last_seq, last)
        return self.stored.add(first, last)

    def quarantine(self, seq: int) -> bool:
        """File as quarantined unless it is stored. Returns whether it is new there."""
        self.last_seq = max(self.last_seq, seq)
        if seq in self.stored:
            return False
        self.lost.remove(seq)
        return bool(self.quarantined.add(seq))

    def lose(self, gap: Gap) -> int:
        """File what is neither stored nor quarantined in the gap as lost. Returns how many are newly lost."""
        self.last_seq = max(self.last_seq, gap.last)
        absent = self.stored.missing(gap.first, gap.last)
        for first, last in self.quarantined:
            absent.remove(first, last)
        new = sum(self.lost.add(first, last) for first, last in absent)
        if new and gap not in self.reasons:
            self.reasons.append(gap)
        return new

    def saw(self, last_seq: int) -> None:
        """The device says it has committed frames up to `last_seq`."""
        self.last_seq = max(self.last_seq, last_seq)

    def pending(self) -> Ranges:
        """What was committed on the device as far as anyone knows, and has not been accounted for."""
        out = self.stored.missing(1, self.last_seq)
        for ranges in (self.lost, self.quarantined):
            for first, last in ranges:
                out.remove(first, last)
        return out

    def lost_gaps(self) -> tuple[Gap, ...]:
        """The lost ranges, each with the reason the device gave for it."""
        out: list[Gap] = []
        for gap in self.reasons:
            out.extend(
                Gap(max(first, gap.first), min(last, gap.last), gap.reason)
                for first, last in self.lost
                if first <= gap.last and gap.first <= last
            )
        return tuple(out)
