"""What every stage counts. At any quiet moment: received == sent + dropped + queued."""

from collections import Counter

import msgspec


class StageHealth(msgspec.Struct, frozen=True):
    """A stage's counts at one moment. The unit is the stage's: samples in sampling, frames behind it."""

    received: int
    sent: int
    queued: int
    dropped: dict[str, int]
    errors: dict[str, int]

    @property
    def is_balanced(self) -> bool:
        """Whether everything that came in is accounted for."""
        return self.received == self.sent + sum(self.dropped.values()) + self.queued


class Counters:
    """Counts of one stage; written by the stage alone."""

    __slots__ = ("dropped", "errors", "received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self.dropped: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def health(self, queued: int) -> StageHealth:
        """The counts now, with what the stage still holds."""
        return StageHealth(self.received, self.sent, queued, dict(self.dropped), dict(self.errors))
