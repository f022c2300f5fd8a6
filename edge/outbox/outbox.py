"""The outbox itself: frames in, frames to send out, what the cloud said of them. Synchronous, one thread at a time."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from operator import xor
import sqlite3

import msgspec

from edge.outbox.frame_file import FrameFile
from edge.outbox.opening import write_gaps
from edge.outbox.schema import frame_id
from edge.outbox.streams import Stream, overlap
from sync_protocol.codec import Frame, decode, encode
from sync_protocol.errors import Full
from sync_protocol.header import frame_crc
from sync_protocol.ledger import Ranges
from sync_protocol.messages import AckRange, SeqRange, StreamAnswer, StreamState

_MOST_GAPS_A_HELLO = 1000
_QUIET_STREAMS_A_HELLO = 8


class Effect(msgspec.Struct, frozen=True):
    """What the cloud's word changed: how many frames, which were forked, why a new stream was started, if one was."""

    acked: int = 0
    again: int = 0
    forked: tuple[int, ...] = ()
    new_stream: str | None = None


class Outbox(FrameFile):
    """Committed frames, and what the cloud says of them.

    Acknowledgements are kept in memory and ride in the next commit: after a kill some frames are sent again, none is
    lost.
    """

    def ack(self, stream_id: bytes, ranges: Sequence[AckRange]) -> list[SeqRange]:
        """The cloud has committed these frames. Returns the ranges that are ours, frame for frame.

        A range with another checksum speaks of a clone's frames under our numbers, and one with frames that are no
        longer held cannot be told: both change nothing, and what is still pending of them is sent again in time.
        """
        stream = self._stream(stream_id)
        if stream is None:
            return []
        ours = [(first, last) for first, last, crc in ranges if self._checksum(stream, first, last) == crc]
        for first, last in ours:
            stream.ack(first, last)
        return ours

    def _checksum(self, stream: Stream, first: int, last: int) -> int | None:
        """XOR of the frames' checksums; None when one of them is not held."""
        rows = self._db.execute(
            "select body from frames where id between ? and ?", [frame_id(stream.no, first), frame_id(stream.no, last)]
        ).fetchall()
        if len(rows) != last - first + 1:
            return None
        return reduce(xor, (frame_crc(body) for (body,) in rows))

    def fork(self, stream_id: bytes, forked: Sequence[tuple[int, int]]) -> Effect:
        """The cloud holds other frames under these numbers: another copy of this outbox is or was at work.

        It has set ours aside, where nobody counts them. So what they hold is committed once more, as frames of the
        active stream, in the commit that notes the fork: every sample arrives, and none twice. Pairs whose checksum is
        not that of our frame are the other copy's affair.
        """
        stream = self._stream(stream_id)
        news = [
            seq
            for seq, crc in dict(forked).items()
            if stream is not None and seq in stream.pending and self._checksum(stream, seq, seq) == crc
        ]
        if stream is None or not news:
            return Effect()
        cause = None
        if stream is self.active:
            cause = "forked"
            self._start_stream(cause)
        done = []
        for seq in sorted(news):
            old = decode(self._queued(stream, seq).body)
            stream.fork([seq])
            try:
                self.append(partial(_again, old))
            except Full:
                stream.unfork(seq, has_events=old.header.events > 0)
                break  # it stays pending: the cloud will say it again when there is room
            done.append(seq)
        return Effect(forked=tuple(done), new_stream=cause)

    def answer(
        self,
        asked: Sequence[StreamState],
        answers: Sequence[StreamAnswer],
        proven: Mapping[bytes, Sequence[SeqRange]],
    ) -> Effect:
        """Apply the cloud's answer to a hello that said `asked`.

        Frames in `proven` (sent before that hello, by this process) are acknowledged when the cloud has their numbers;
        others are not: the cloud may have those numbers from another copy of this outbox, and only sending the frame
        lets it compare. Acknowledged frames that the cloud lacks, as after a restore, are to be sent again, and become
        a gap where they have left already.
        """
        by_id = {answer.stream_id: answer for answer in answers}
        acked = again = 0
        cause: str | None = None
        moved: list[Stream] = []
        for said in asked:
            stream = self._stream(said.stream_id)
            if stream is None:
                continue
            reply = by_id.get(said.stream_id, StreamAnswer(said.stream_id))
            there = Ranges([*reply.stored, *reply.quarantined])
            for first, last in overlap(there, proven.get(said.stream_id, ())):
                for a, b in overlap(stream.pending, [(first, last)]):
                    acked += stream.ack(a, b)
            again += self._send_again(stream, said, there)
            written = Ranges([*there, *((gap.first, gap.last) for gap in reply.gaps)])
            if stream.told_gaps(written) or stream.is_dirty:
                moved.append(stream)
            if stream is self.active and there.highest() > stream.last_seq:
                cause = "cloud_ahead"
        if moved:
            self._transact(self._write_dirty, *[_gap_writer(self._db, stream) for stream in moved])
            self._settle()
        if cause is not None:
            self._start_stream(cause)
        return Effect(acked, again, new_stream=cause)

    def _send_again(self, stream: Stream, said: StreamState, there: Ranges) -> int:
        count = 0
        for first, last in said.acked:
            for a, b in there.missing(first, last):
                stream.acked.remove(a, b)
                stream.is_dirty = True
                held = overlap(stream.held, [(a, b)])
                for c, d in held:
                    count += d - c + 1
                    rows = self._db.execute(
                        "select id, events from frames where id between ? and ?",
                        [frame_id(stream.no, c), frame_id(stream.no, d)],
                    )
                    for row_id, events in rows:
                        stream.add(row_id & 0xFFFFFFFF, has_events=bool(events))
                for c, d in held.missing(a, b):
                    stream.lose(c, d, "disk_full")
        return count

    def hello_streams(self) -> tuple[StreamState, ...]:
        """The streams to speak of in a hello: those with anything on disk or to be told, and the last few others."""
        quiet = [s for s in self._streams if not (len(s.held) or s.untold() or s is self.active)]
        left_out = {stream.no for stream in quiet[:-_QUIET_STREAMS_A_HELLO]}
        return tuple(stream.state(_MOST_GAPS_A_HELLO) for stream in self._streams if stream.no not in left_out)


def _gap_writer(db: sqlite3.Connection, stream: Stream) -> Callable[[], None]:
    return lambda: write_gaps(db, stream)


def _again(old: Frame, stream_id: bytes, seq: int, _boot: int) -> bytes:
    """The content of a frame under a new identity; it keeps the boot that its times belong to."""
    return encode(stream_id, seq, old.header.boot, old.groups, old.meta)
