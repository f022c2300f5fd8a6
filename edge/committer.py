"""Carries closed frames from the sampler to the outbox, and holds them while the disk is full."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from edge.health import Counters, StageHealth
from edge.outbox.worker import OutboxWorker
from edge.sampling.open_frame import ClosedFrame
from sync_protocol.errors import Full

_MOST_WAITING = 256
_FULL_RETRY_S = 5.0

log = structlog.get_logger()


class Committer:
    """A short line of frames before the outbox; beyond `most_waiting` the oldest is dropped, and counted."""

    def __init__(
        self,
        outbox: OutboxWorker,
        on_commit: Callable[[], None],
        most_waiting: int = _MOST_WAITING,
        keep: Callable[[], Mapping[str, int | str]] = dict,
        is_bundled: Callable[[], bool] = lambda: False,
    ) -> None:
        """`keep` gives what else is to be kept with a commit, by its name. `is_bundled`: frames will go together."""
        self._outbox = outbox
        self._keep = keep
        self._is_bundled = is_bundled
        self._on_commit = on_commit
        self._most_waiting = most_waiting
        self._line: deque[ClosedFrame] = deque()
        self._counters = Counters()
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, frame: ClosedFrame) -> None:
        """Take a frame."""
        self._counters.received += 1
        if len(self._line) >= self._most_waiting:
            # the first one may be under way on the outbox's thread
            del self._line[1]
            self._counters.dropped["disk_full"] += 1
        self._line.append(frame)
        self._idle.clear()
        self._work.set()

    async def run(self) -> None:
        """Commit frames in their order, until cancelled."""
        is_full = False
        while True:
            await self._work.wait()
            while self._line:
                frame = self._line[0]
                try:
                    make = partial(frame.encode, compress=not self._is_bundled())
                    await self._outbox.append(make, {"odometer_raw": frame.odometer_raw, **self._keep()})
                except Full as err:
                    self._counters.errors["full"] += 1
                    if not is_full:
                        log.error("outbox_full", reason=str(err), waiting_frames=len(self._line))
                    is_full = True
                    await asyncio.sleep(_FULL_RETRY_S)
                    continue
                if is_full:
                    log.info("outbox_has_room", waiting_frames=len(self._line))
                    is_full = False
                self._line.popleft()
                self._counters.sent += 1
                self._on_commit()
            self._work.clear()
            self._idle.set()

    async def drain(self, timeout_s: float = 10.0) -> None:
        """Wait until everything is committed; give up on a disk that stays full."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            log.error("frames_given_up", waiting_frames=len(self._line))

    def health(self) -> StageHealth:
        """Counts of frames."""
        return self._counters.health(len(self._line))
