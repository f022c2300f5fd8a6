"""Device time to UTC: the anchors of one boot of a stream, and which stored rows a new anchor moves.

The best class of source that a boot has ever had counts alone (gps before ntp, cloud, rtc, guess, placed). Inside it,
an instant takes the offset of the last anchor before it; instants before the first anchor take the first one's.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cloud.facts import TimeSource

Ints = NDArray[np.int64]

_RANK: dict[str, int] = {"gps": 0, "ntp": 1, "cloud": 2, "rtc": 3, "guess": 4, "placed": 5}
FOREVER_MS = 1 << 62


class Span(NamedTuple):
    """Device times `first_ms` to `last_ms`, both included."""

    first_ms: int
    last_ms: int


EVERYTHING = Span(0, FOREVER_MS)


class Timeline:
    """One boot. `stored_to_ms` is the largest device time of a row that stands in the store, -1 when none does."""

    __slots__ = ("_ms", "_offset", "_rank", "stored_to_ms")

    def __init__(self, stored_to_ms: int = -1) -> None:
        self._rank = len(_RANK)
        self._ms: list[int] = []
        self._offset: list[int] = []
        self.stored_to_ms = stored_to_ms

    @property
    def is_anchored(self) -> bool:
        """Whether UTC is known at all."""
        return bool(self._ms)

    @property
    def source(self) -> TimeSource | None:
        """The class of source in force."""
        for name, rank in _RANK.items():
            if rank == self._rank:
                return name  # type: ignore[return-value]  # the keys are the literal's words
        return None

    def add(self, boot_ms: int, utc_ms: int, source: str) -> Span | None:
        """Take in an anchor. Returns the device times whose UTC it changes, None when it changes nothing."""
        rank = _RANK[source]
        if rank > self._rank:
            return None
        offset = utc_ms - boot_ms
        if rank < self._rank:
            self._rank, self._ms, self._offset = rank, [boot_ms], [offset]
            return EVERYTHING
        at = bisect_left(self._ms, boot_ms)
        if at < len(self._ms) and self._ms[at] == boot_ms:
            if self._offset[at] == offset or self._offset[at] < offset:
                return None  # two truths for one instant: the earlier wins, whichever order they come in
            self._offset[at] = offset
        else:
            self._ms.insert(at, boot_ms)
            self._offset.insert(at, offset)
        first = 0 if at == 0 else boot_ms
        last = self._ms[at + 1] - 1 if at + 1 < len(self._ms) else FOREVER_MS
        return Span(first, last)

    def utc_ms(self, boot_ms: int) -> int | None:
        """UTC of one instant in ms, None while the boot has no anchor."""
        if not self._ms:
            return None
        return boot_ms + self._offset[self._at(boot_ms)]

    def constant(self, first_ms: int, last_ms: int) -> int | None:
        """The one offset that holds from `first_ms` to `last_ms`, None when it changes in between or is not known."""
        if not self._ms:
            return None
        at = self._at(first_ms)
        return self._offset[at] if at + 1 == len(self._ms) or last_ms < self._ms[at + 1] else None

    def _at(self, boot_ms: int) -> int:
        """Which anchor an instant goes by."""
        return max(0, bisect_right(self._ms, boot_ms) - 1)

    def project(self, boot_ms: Ints) -> Ints:
        """UTC in ms of many instants; only for an anchored boot."""
        if len(self._ms) == 1 or not len(boot_ms):
            return boot_ms + (self._offset[0] if self._offset else 0)
        # A boot of months has thousands of anchors, a frame meets two: only those become an array.
        part = slice(self._at(int(boot_ms.min())), self._at(int(boot_ms.max())) + 1)
        at = np.searchsorted(np.array(self._ms[part], np.int64), boot_ms, side="right") - 1
        moved: Ints = boot_ms + np.array(self._offset[part], np.int64)[np.maximum(at, 0)]
        return moved

    def copy(self) -> "Timeline":
        """A snapshot for another thread."""
        twin = Timeline(self.stored_to_ms)
        twin._rank, twin._ms, twin._offset = self._rank, list(self._ms), list(self._offset)
        return twin
