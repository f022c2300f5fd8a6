"""The frames on the disk: committed one by one, evicted when room is needed, handed out in the order of sending."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
import os
from pathlib import Path
import shutil
import sqlite3
from typing import IO

import msgspec

from edge.outbox.opening import Identity, PreviousEnd, insert_stream, lock, open_file
from edge.outbox.room import Room, free_ballast, has_room, lay_ballast
from edge.outbox.schema import frame_id
from edge.outbox.search import Page, offsets, search
from edge.outbox.streams import Stream, Totals, evictable, totals_of
from sync_protocol.errors import Full, Unavailable
from sync_protocol.header import read_header

FrameKey = tuple[bytes, int]
MakeFrame = Callable[[bytes, int, int], bytes]
"""Makes the bytes of a frame from (stream_id, seq, boot)."""

_EVICT_AT_ONCE = 32
_BALLAST_EVERY_FRAMES = 64
_NO_ROOM_BYTES = 1 << 20


class Queued(msgspec.Struct, frozen=True):
    """A committed frame on its way to the cloud."""

    stream_id: bytes
    seq: int
    has_events: bool
    body: bytes


class FrameFile:
    """Committed frames of one device of one tenant, in streams. `append` returns when the frame is safe."""

    def __init__(self, path: Path, identity: Identity, room: Room | None = None) -> None:
        """Open or make the outbox.

        `Conflict`: another process has it. `Full`: the disk has no room for one. `Unavailable`: the place cannot be
        used: read-only, not a folder, a disk that fails.
        """
        self._path = path
        self._room = room or Room()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock: IO[bytes] = lock(path)
        except OSError as err:
            raise Unavailable(f"{path.parent}: {err.strerror}") from err
        try:
            if shutil.disk_usage(path.parent).free < self._room.ballast_bytes:
                free_ballast(path)
            opened = open_file(path, identity, self._room)
        except (OSError, sqlite3.Error) as err:
            self._lock.close()
            raise Unavailable(f"{path}: {getattr(err, 'strerror', None) or err}") from err
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

    def append(self, make: MakeFrame, keep: Mapping[str, int | str] | None = None) -> FrameKey:
        """Commit one frame, and with it what was acknowledged or must leave, and the values to `keep`.

        `Full` when it cannot be committed even after everything evictable has left; the number is then not used up.
        `Unavailable` when the disk fails.
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
        self, stream: Stream, seq: int, body: bytes, keep: Mapping[str, int | str]
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
            raise condition(self._path, err) from err
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
            raise condition(self._path, err) from err

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

    def pick(
        self,
        most: int,
        busy: Set[FrameKey] = frozenset(),
        *,
        only_events: bool = False,
        wanted: Sequence[FrameKey] = (),
    ) -> list[Queued]:
        """The next frames to send, without those already on the way: with events, then the newest, then the oldest.

        With `only_events` the others stay. Frames that are `wanted` come after the newest, acknowledged or not.
        """
        chosen: list[tuple[Stream, int]] = []
        seen = set(busy)
        for stream, seq in self._in_order(only_events, wanted):
            if len(chosen) >= most:
                break
            if (stream.stream_id, seq) not in seen:
                seen.add((stream.stream_id, seq))
                chosen.append((stream, seq))
        return [self._queued(stream, seq) for stream, seq in chosen]

    def _in_order(self, only_events: bool, wanted: Sequence[FrameKey]) -> Iterator[tuple[Stream, int]]:
        for stream in self._streams:
            yield from ((stream, seq) for first, last in stream.urgent for seq in range(first, last + 1))
        newest = self.active.pending.highest()
        if newest and not only_events:
            yield self.active, newest
        for stream_id, seq in wanted:
            of_key = self._stream(stream_id)
            if of_key is not None and seq in of_key.held:
                yield of_key, seq
        if only_events:
            return
        for stream in self._streams:
            yield from ((stream, seq) for first, last in stream.pending for seq in range(first, last + 1))

    def _queued(self, stream: Stream, seq: int) -> Queued:
        row = self._db.execute("select events, body from frames where id = ?", [frame_id(stream.no, seq)]).fetchone()
        return Queued(stream.stream_id, seq, bool(row[0]), row[1])

    def totals(self) -> Totals:
        """Counts over all streams."""
        return totals_of(self._streams)

    def kept(self, key: str, default: int = 0) -> int:
        """A value that an earlier `append` was asked to keep."""
        row = self._db.execute("select value from kv where key = ?", [key]).fetchone()
        return int(row[0]) if row else default

    def kept_text(self, key: str) -> str | None:
        """As `kept`, for a value that is no number."""
        row = self._db.execute("select value from kv where key = ?", [key]).fetchone()
        return None if row is None else str(row[0])

    def raise_kept(self, key: str, value: int) -> bool:
        """Keep a number that only rises. False, and nothing is kept, unless it is above the one before.

        It is on the disk when this returns. `Full` when the disk has no room for it.
        """
        if value <= self.kept(key, -1):
            return False
        try:
            self._db.execute("insert or replace into kv values (?, ?)", [key, value])
        except sqlite3.OperationalError as err:
            raise Full(f"outbox: {err}") from err
        return True

    def find(self, from_utc_ms: int, to_utc_ms: int, after_id: int, most_rows: int) -> Page:
        """One page of the held frames that touch a range of UTC; `after_id` 0 begins."""
        streams = {stream.no: stream for stream in self._streams}
        return search(self._db, streams, offsets(self._db), from_utc_ms, to_utc_ms, after_id, most_rows)

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


def condition(path: Path, err: sqlite3.OperationalError) -> Exception:
    """What an error of the outbox at `path` is: a full disk, which has its policy; a disk that fails; or a bug."""
    code = err.sqlite_errorcode & 0xFF
    has_no_room = shutil.disk_usage(path.parent).free < _NO_ROOM_BYTES
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and has_no_room):
        return Full(f"{path}: {err}")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
        return Unavailable(f"{path}: {err}")
    return err
