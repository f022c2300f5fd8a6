"""What ingest counts. `received == stored + duplicates + hellos + every refusal + waiting`, at any moment.

Each frame of a bundle counts as a message.
"""

from collections import Counter

import msgspec


class IngestCounters(msgspec.Struct):
    """Messages, by what became of them. `waiting` are taken from the broker and not yet committed."""

    received: int = 0
    stored: int = 0
    duplicates: int = 0
    hellos: int = 0
    quarantined: int = 0
    forked: int = 0
    unavailable: int = 0
    waiting: int = 0
    samples: int = 0
    commits: int = 0
    acks: int = 0
    anchors_refused: int = 0
    dropped: Counter[str] = msgspec.field(default_factory=Counter)
    """By reason: no_magic, unknown_device, frame_rate, new_streams, open_ranges."""

    def accounted(self) -> int:
        """Sum of all fates; equals `received`."""
        return (
            self.stored
            + self.duplicates
            + self.hellos
            + self.quarantined
            + self.forked
            + self.unavailable
            + self.waiting
            + self.dropped.total()
        )
