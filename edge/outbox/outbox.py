"""The outbox itself: frames in, frames to send out, what the cloud said of them. Synchronous, one thread at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial, reduce
from operator import xor
import os
from pathlib import Path
import shutil
import sqlite3
from typing import IO

import msgspec

from edge.outbox.opening import Identity, PreviousEnd, insert_stream, lock, open_file, write_gaps
from edge.outbox.room import Room, free_ballast, has_room, lay_ballast
from edge.outbox.schema import frame_id
from edge.outbox.streams import Stream, Totals, evictable, overlap, totals_of
from sync_protocol.codec import Frame, decode, encode
from sync_protocol.errors import Full
from sync_protocol.header import frame_crc, read_header
from sync_protocol.ledger import Ranges
from sync_protocol.messages import AckRange, SeqRange, StreamAnswer, StreamState

FrameKey = tuple[bytes, int]
MakeFrame = Callable[[bytes, int, int], bytes]
"""Makes the bytes of a frame from (stream_id, seq, boot)."""

_EVICT_AT_ONCE = 32
_MOST_GAPS_A_HELLO = 1000
_QUIET_STREAMS_A_HELLO = 8
_BALLAST_EVERY_FRAMES = 64


class Queued(msgspec.Struct, frozen=True):
    """A committed frame on its way to the cloud."""

    stream_id: bytes
    seq: int
    has_events: bool
    body: bytes


class Effect(msgspec.Struct, frozen=True):
    """What the cloud's word changed: how many frames, which were forked, why a new stream was started, if one was."""

    acked: int = 0
    again: int = 0
    forked: tuple[int, ...] = ()
    new_stream: str | None = None


class Outbox:
    """Committed frames of one device of one tenant.

    `append` returns when the frame is safe. Acknowledgements are kept in memory and ride in the next commit: after a
    kill some frames are sent again, none is lost.
    """

    def __init__(self, path: Path, identity: Identity, room: Room | None = None) -> None:
        """Open or make the outbox. `Conflict`: another process has it. `Full`: the disk has no room for one."""
        self._path = path
        self._room = room or Room()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock: IO[bytes] = lock(path)
        if shutil.disk_usage(path.parent).free < self._room.ballast_bytes:
            free_ballast(path)
        try:
            opened = open_file(path, identity, self._room)
        except BaseException:
            self._lock.close()
            raise
        self._db = opened.db
        self._streams = opened.streams
        self.boot = opened.boot
        self.previous: PreviousEnd = opened.previous
        self.set_aside = opened.set_aside
        self.new_stream = opened.new_stream
        self._since_ballast = 0
        if opened.new_stream is not None:
            self._start_stream(opened.new_stream)
        lay_ballast(path, self._room)

    @property
    def active(self) -> Stream:
        """The stream that new frames go to."""
        return self._streams[-1]

    @property
    def streams(self) -> Sequence[Stream]:
        """All streams, oldest first, to look at."""
        return self._streams

    def append(self, make: MakeFrame, keep: Mapping[str, int] | None = None) -> FrameKey:
        """Commit one frame, and with it what was acknowledged or must leave, and the values to `keep`.

        `Full` when it cannot be committed even after everything evictable has left; the number is then not used up.
        """
        stream = self.active
        seq = stream.last_seq + 1
        body = make(stream.stream_id, seq, self.boot)
        try:
            evicted = self._commit(stream, seq, body, keep or {})
        except Full:
            if not free_ballast(self._path):
                raise
            evicted = self._commit(stream, seq, body, keep or {})
        self._forget(evicted)
        header = read_header(body)
        stream.add(seq, has_events=header.events > 0)
        stream.last_ms, stream.boot = header.last_ms, header.boot
        self._since_ballast += 1
        if self._since_ballast >= _BALLAST_EVERY_FRAMES:
            self._since_ballast = 0
            lay_ballast(self._path, self._room)
        return stream.stream_id, seq

    def _commit(
        self, stream: Stream, seq: int, body: bytes, keep: Mapping[str, int]
    ) -> list[tuple[Stream, int, int, bool]]:
        header = read_header(body)
        try:
            self._db.execute("begin immediate")
            self._write_dirty()
            evicted = self._make_room(len(body))
            self._db.execute("insert into frames values (?, ?, ?)", [frame_id(stream.no, seq), header.events, body])
            self._db.execute(
                "update streams set last_seq = ?, last_ms = ?, boot = ? where no = ?",
                [seq, header.last_ms, header.boot, stream.no],
            )
            self._db.executemany("insert or replace into kv values (?, ?)", list(keep.items()))
            self._db.execute("commit")
        except sqlite3.OperationalError as err:
            self._roll_back()
            raise _as_full(err) from err
        except Full:
            self._roll_back()
            raise
        self._settle()
        return evicted

    def _make_room(self, body_bytes: int) -> list[tuple[Stream, int, int, bool]]:
        """Delete frames until one of this size fits, and write their gap rows. Memory follows after the commit."""
        evicted: list[tuple[Stream, int, int, bool]] = []
        if has_room(self._db, self._room, body_bytes):
            return evicted
        for stream, first, last, is_loss in evictable(self._streams, _EVICT_AT_ONCE):
            self._db.execute(
                "delete from frames where id between ? and ?", [frame_id(stream.no, first), frame_id(stream.no, last)]
            )
            if is_loss:
                self._write_loss(stream.no, first, last)
            evicted.append((stream, first, last, is_loss))
            if has_room(self._db, self._room, body_bytes):
                return evicted
        raise Full(f"{self._path}: a frame of {body_bytes} bytes does not fit into {self._room.size_bytes} bytes")

    def _write_loss(self, no: int, first: int, last: int) -> None:
        grown = self._db.execute(
            "update gaps set last = ? where stream_no = ? and last = ? and reason = 'disk_full' and is_told = 0",
            [last, no, first - 1],
        )
        if not grown.rowcount:
            self._db.execute("insert into gaps values (?, ?, ?, 'disk_full', 0)", [no, first, last])

    def _forget(self, evicted: list[tuple[Stream, int, int, bool]]) -> None:
        for stream, first, last, is_loss in evicted:
            if is_loss:
                stream.lose(first, last, "disk_full")
            else:
                stream.drop_acked(first, last)

    def _write_dirty(self) -> None:
        for stream in self._streams:
            if stream.is_dirty:
                self._db.execute(
                    "update streams set acked = ?, forked = ? where no = ?", [*stream.stored_fields(), stream.no]
                )

    def _settle(self) -> None:
        for stream in self._streams:
            stream.is_dirty = False

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("rollback")

    def flush(self) -> None:
        """Commit acknowledgements now, when no frame is coming to take them along."""
        if any(stream.is_dirty for stream in self._streams):
            self._transact(self._write_dirty)
            self._settle()

    def _transact(self, *writes: Callable[[], None]) -> None:
        try:
            self._db.execute("begin immediate")
            for write in writes:
                write()
            self._db.execute("commit")
        except sqlite3.OperationalError as err:
            self._roll_back()
            raise _as_full(err) from err

    def _start_stream(self, cause: str) -> None:
        no = self._streams[-1].no + 1 if self._streams else 1
        fresh = Stream(no, os.urandom(16), is_active=True, cause=cause, boot=self.boot)

        def write() -> None:
            self._write_dirty()
            self._db.execute("update streams set is_active = 0")
            insert_stream(self._db, fresh)

        self._transact(write)
        self._settle()
        for stream in self._streams:
            stream.is_active = False
        self._streams.append(fresh)

    def pick(self, most: int, busy: Set[FrameKey] = frozenset()) -> list[Queued]:
        """The next frames to send, without those already on the way: with events, then the newest, then the oldest."""
        chosen: list[tuple[Stream, int]] = []
        seen = set(busy)
        for stream, seq in self._in_order():
            if len(chosen) >= most:
                break
            if (stream.stream_id, seq) not in seen:
                seen.add((stream.stream_id, seq))
                chosen.append((stream, seq))
        return [self._queued(stream, seq) for stream, seq in chosen]

    def _in_order(self) -> Iterator[tuple[Stream, int]]:
        for stream in self._streams:
            yield from ((stream, seq) for first, last in stream.urgent for seq in range(first, last + 1))
        newest = self.active.pending.highest()
        if newest:
            yield self.active, newest
        for stream in self._streams:
            yield from ((stream, seq) for first, last in stream.pending for seq in range(first, last + 1))

    def _queued(self, stream: Stream, seq: int) -> Queued:
        row = self._db.execute("select events, body from frames where id = ?", [frame_id(stream.no, seq)]).fetchone()
        return Queued(stream.stream_id, seq, bool(row[0]), row[1])

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

    def totals(self) -> Totals:
        """Counts over all streams."""
        return totals_of(self._streams)

    def kept(self, key: str, default: int = 0) -> int:
        """A value that an earlier `append` was asked to keep."""
        row = self._db.execute("select value from kv where key = ?", [key]).fetchone()
        return int(row[0]) if row else default

    def _write_kv(self, key: str, value: str) -> None:
        self._db.execute("insert or replace into kv values (?, ?)", [key, value])

    def close(self, reason: str | None = "shutdown") -> None:
        """Commit what is open and let go. `reason` marks a wanted end; None leaves it looking like a kill."""
        if reason is not None:
            self.flush()
            self._transact(lambda: self._write_kv("ended", reason))
        self._db.close()
        self._lock.close()

    def _stream(self, stream_id: bytes) -> Stream | None:
        return next((stream for stream in self._streams if stream.stream_id == stream_id), None)


def _gap_writer(db: sqlite3.Connection, stream: Stream) -> Callable[[], None]:
    return lambda: write_gaps(db, stream)


def _as_full(err: sqlite3.OperationalError) -> Exception:
    """A full disk is a condition that the outbox has a policy for; anything else that SQLite finds is not."""
    if err.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return Full(f"outbox: {err}")
    return err


def _again(old: Frame, stream_id: bytes, seq: int, _boot: int) -> bytes:
    """The content of a frame under a new identity; it keeps the boot that its times belong to."""
    return encode(stream_id, seq, old.header.boot, old.groups, old.meta)
