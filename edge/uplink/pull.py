"""Pull on demand: somebody in the office asks for a time range, and the frames of it are sent out of turn.

A pull is worked off one after the other, survives a lost connection, and ends with an event: `pull_done` once the cloud
has acknowledged every frame of it, or `pull_refused`. It is not kept over a restart; the cloud asks again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
import structlog

from edge.uplink.source import FrameKey
from sync_protocol.messages import Command, SeqRange

_MOST_WAITING = 8
_MOST_REMEMBERED = 64
_MOST_MISSING = 20
_JOIN_MS = 60_000
_DEFAULT_BYTES = 5_000_000

Tell = Callable[[str, dict[str, Any]], None]
log = structlog.get_logger()


class Found(Protocol):
    """A held frame that was measured in the range. Times are UTC in ms."""

    @property
    def stream_id(self) -> bytes: ...
    @property
    def seq(self) -> int: ...
    @property
    def first_utc_ms(self) -> int: ...
    @property
    def last_utc_ms(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...


class Finder(Protocol):
    """Who holds frames. See `edge.outbox.worker.OutboxWorker`."""

    async def find(self, from_utc_ms: int, to_utc_ms: int) -> tuple[Sequence[Found], int]:
        """Held frames that touch the range, and how many held frames belong to boots without a clock."""


class _Asked(msgspec.Struct, frozen=True):
    number: int
    from_utc_ms: int
    to_utc_ms: int
    most_bytes: int


class _Active(msgspec.Struct):
    asked: _Asked
    remaining: dict[FrameKey, None]
    done: dict[str, Any]


class Pulls:
    """The pulls of one device. `tell` gets (kind, data) of the events."""

    def __init__(self, finder: Finder, tell: Tell) -> None:
        self._finder = finder
        self._tell = tell
        self._waiting: deque[_Asked] = deque()
        self._active: _Active | None = None
        self._seen: deque[int] = deque(maxlen=_MOST_REMEMBERED)

    def command(self, command: Command) -> bool:
        """Take a command. False when it is none of ours. One that was seen already is ignored: the cloud repeats."""
        if command.kind == "pull":
            # A signed command has a number of its own each time it is sent; what is pulled keeps the one in `args`.
            number = command.args.get("number", command.number)
            if number not in self._seen:
                self._seen.append(number)
                self._ask(command)
            return True
        if command.kind == "pull_cancel":
            self._cancel(command.args.get("number"))
            return True
        return False

    def _ask(self, command: Command) -> None:
        try:
            asked = msgspec.convert({"number": command.number, "most_bytes": _DEFAULT_BYTES} | command.args, _Asked)
        except msgspec.ValidationError as err:
            self._refuse(command.number, f"bad_arguments: {err}")
            return
        if asked.from_utc_ms >= asked.to_utc_ms:
            self._refuse(asked.number, "bad_arguments: expected from_utc_ms before to_utc_ms")
        elif len(self._waiting) >= _MOST_WAITING:
            self._refuse(asked.number, "too_many_waiting")
        else:
            self._waiting.append(asked)

    def _refuse(self, number: int, reason: str) -> None:
        log.warning("pull_refused", number=number, reason=reason)
        self._tell("pull_refused", {"number": number, "reason": reason})

    def _cancel(self, number: object) -> None:
        before = len(self._waiting)
        self._waiting = deque(asked for asked in self._waiting if asked.number != number)
        is_active = self._active is not None and self._active.asked.number == number
        if is_active:
            self._active = None
        if is_active or len(self._waiting) < before:
            log.info("pull_cancelled", number=number)
            self._tell("pull_refused", {"number": number, "reason": "cancelled"})

    async def wanted(self) -> tuple[FrameKey, ...]:
        """The frames of the pull at work that are not acknowledged yet; begins the next pull when none is at work."""
        while self._active is None and self._waiting:
            asked = self._waiting[0]
            found, undated = await self._finder.find(asked.from_utc_ms, asked.to_utc_ms)
            if not self._waiting or self._waiting[0] is not asked:
                continue  # cancelled meanwhile
            self._waiting.popleft()
            self._active = _begin(asked, found, undated)
            log.info("pull_begun", number=asked.number, frames=len(self._active.remaining))
            self._end_if_done()
        return () if self._active is None else tuple(self._active.remaining)

    def acknowledged(self, stream_id: bytes, ranges: Iterable[SeqRange]) -> None:
        """The cloud has these frames."""
        if self._active is None:
            return
        for first, last in ranges:
            for key in [key for key in self._active.remaining if key[0] == stream_id and first <= key[1] <= last]:
                del self._active.remaining[key]
        self._end_if_done()

    def gone(self, keys: Iterable[FrameKey]) -> None:
        """These frames have left the outbox, or are forked: they will not come."""
        if self._active is None:
            return
        lost = [key for key in keys if key in self._active.remaining]
        for key in lost:
            del self._active.remaining[key]
        self._active.done["gone_frames"] += len(lost)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._active is not None and not self._active.remaining:
            done, self._active = self._active.done, None
            log.info("pull_done", number=done["number"], frames=done["frames"], size_bytes=done["size_bytes"])
            self._tell("pull_done", done)


def _begin(asked: _Asked, found: Sequence[Found], undated: int) -> _Active:
    """Oldest first, as many as `most_bytes` admits."""
    taken: list[Found] = []
    size_bytes = 0
    for frame in sorted(found, key=lambda frame: (frame.first_utc_ms, frame.seq)):
        if size_bytes + frame.size_bytes > asked.most_bytes:
            break
        size_bytes += frame.size_bytes
        taken.append(frame)
    done = {
        "number": asked.number,
        "frames": len(taken),
        "size_bytes": size_bytes,
        "held_from_utc_ms": min((frame.first_utc_ms for frame in taken), default=None),
        "held_to_utc_ms": max((frame.last_utc_ms for frame in taken), default=None),
        "missing_utc_ms": _missing(asked, taken)[:_MOST_MISSING],
        "is_cut": len(taken) < len(found),
        "undated_frames": undated,
        "gone_frames": 0,
    }
    return _Active(asked, dict.fromkeys((frame.stream_id, frame.seq) for frame in taken), done)


def _missing(asked: _Asked, taken: Sequence[Found]) -> list[list[int]]:
    """Stretches of the range without a sample, a minute or longer: never measured, or no longer here."""
    missing, at_ms = [], asked.from_utc_ms
    for frame in taken:
        if frame.first_utc_ms - at_ms > _JOIN_MS:
            missing.append([at_ms, frame.first_utc_ms])
        at_ms = max(at_ms, frame.last_utc_ms)
    if asked.to_utc_ms - at_ms > _JOIN_MS:
        missing.append([at_ms, asked.to_utc_ms])
    return missing
