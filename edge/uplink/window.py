"""Which frames are on their way, since when, and when to give them up for lost. In memory only."""

from collections.abc import Iterable, Sequence

import msgspec

from edge.uplink.source import FrameKey
from sync_protocol.ledger import Ranges
from sync_protocol.messages import SeqRange, StreamState

_EAGER_TRIES = 3
_NEW_SHARE = 16


class _Sent(msgspec.Struct):
    at_ms: int
    tries: int
    due_ms: int | None
    """When its acknowledgement is overdue; None: it waits to be sent again."""


class Window:
    """At most `size` frames wait for their acknowledgement. Times are device time in ms."""

    def __init__(self, size: int, timeout_ms: int, timeout_max_ms: int) -> None:
        self._size = size
        self._timeout_ms = timeout_ms
        self._timeout_max_ms = timeout_max_ms
        self.kept_for_new = size // _NEW_SHARE
        """So many places are not for a backlog: frames committed from now on need not wait until some of it arrives."""
        self._sent: dict[FrameKey, _Sent] = {}

    def __len__(self) -> int:
        """Frames that were sent at least once and not acknowledged."""
        return len(self._sent)

    def waiting(self) -> set[FrameKey]:
        """The frames whose acknowledgement may still come."""
        return {key for key, sent in self._sent.items() if sent.due_ms is not None}

    def free(self) -> int:
        """How many more may be sent now."""
        return max(0, self._size - sum(1 for sent in self._sent.values() if sent.due_ms is not None))

    def oldest_ms(self) -> int | None:
        """When the frame that waits longest was sent; None when none waits."""
        return min((sent.at_ms for sent in self._sent.values() if sent.due_ms is not None), default=None)

    def tries(self, key: FrameKey) -> int:
        """How often a frame was sent and not acknowledged."""
        return self._sent[key].tries if key in self._sent else 0

    def send(self, key: FrameKey, now_ms: int) -> bool:
        """The frame is sent (again). Returns whether it is the first time."""
        before = self._sent.get(key)
        tries = before.tries + 1 if before else 1
        wait_ms = min(self._timeout_ms << min(tries - 1, 16), self._timeout_max_ms)
        self._sent[key] = _Sent(now_ms, tries, now_ms + wait_ms)
        return before is None

    def done(self, stream_id: bytes, ranges: Iterable[SeqRange]) -> int:
        """These are acknowledged (or will never be). Returns how many of them had been sent."""
        gone = []
        for first, last in ranges:
            gone += [key for key in self._sent if key[0] == stream_id and first <= key[1] <= last]
        for key in gone:
            self._sent.pop(key, None)
        return len(set(gone))

    def expire(self, now_ms: int) -> int:
        """Free the places of frames that are overdue; they are to be sent again. Returns how many."""
        overdue = [sent for sent in self._sent.values() if sent.due_ms is not None and sent.due_ms <= now_ms]
        for sent in overdue:
            sent.due_ms = None
        return len(overdue)

    def proven(self, before_ms: int, suspect: dict[bytes, Ranges]) -> dict[bytes, tuple[SeqRange, ...]]:
        """Frames sent before an instant, without those whose numbers the cloud had before this process sent them."""
        sent: dict[bytes, Ranges] = {}
        for (stream_id, seq), one in self._sent.items():
            if one.at_ms <= before_ms and seq not in suspect.get(stream_id, ()):
                sent.setdefault(stream_id, Ranges()).add(seq)
        return {stream_id: ranges.pairs() for stream_id, ranges in sent.items()}

    def not_arrived(self, before_ms: int) -> int:
        """The cloud has answered what it has, and these it has not: send them again now, unless tried often enough."""
        late = [
            sent
            for sent in self._sent.values()
            if sent.due_ms is not None and sent.at_ms <= before_ms and sent.tries < _EAGER_TRIES
        ]
        for sent in late:
            sent.due_ms = None
        return len(late)

    def forget_evicted(self, streams: Sequence[StreamState]) -> int:
        """Drop what the outbox no longer holds. Returns how many."""
        held = {stream.stream_id: Ranges(stream.held) for stream in streams}
        gone = [key for key in self._sent if key[1] not in held.get(key[0], ())]
        for key in gone:
            del self._sent[key]
        return len(gone)
