"""Fakes of what surrounds the edge stages: a clock that is set by hand, and frames of any size."""

from collections.abc import Callable
import functools
import operator
import os

from edge.outbox.opening import Identity
from edge.outbox.outbox import Outbox
from sync_protocol.codec import encode
from sync_protocol.header import frame_crc
from sync_protocol.messages import AckRange, Event, Mark, Meta

IDENTITY = Identity("acme", "van-1", "machine-a", "boot-a")


class FakeClock:
    """Device time that stands still until it is moved."""

    def __init__(self, now_ms: int = 1_000_000) -> None:
        self.now_ms = now_ms

    def boot_ms(self) -> int:
        return self.now_ms

    def pass_s(self, seconds: float) -> None:
        self.now_ms += round(1000 * seconds)


def ack_range(outbox: Outbox, stream_id: bytes, first: int, last: int) -> AckRange:
    """What the cloud would say of these frames, which the outbox holds."""
    (stream,) = [s for s in outbox.streams if s.stream_id == stream_id]
    rows = [frame_crc(outbox._queued(stream, seq).body) for seq in range(first, last + 1)]
    return first, last, functools.reduce(operator.xor, rows)


def frame_maker(
    size_bytes: int = 100, *, has_event: bool = False, boot_ms: int = 1_000
) -> Callable[[bytes, int, int], bytes]:
    """Makes frames that do not compress, of about this size."""
    filler = os.urandom(size_bytes)

    def make(stream_id: bytes, seq: int, boot: int) -> bytes:
        if has_event:
            meta = Meta(events=(Event(boot_ms + seq, "test", {"filler": filler}),))
        else:
            marks = tuple(
                Mark(1 + filler[i] % 80, boot_ms + filler[i] * 7, boot_ms + 4_000 + filler[i], "stale")
                for i in range(0, max(1, size_bytes), 12)
            )
            meta = Meta(marks=marks)
        return encode(stream_id, seq, boot, [], meta, compress=False)

    return make
