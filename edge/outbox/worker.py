"""The outbox on its own thread, so that a slow SD card never stops the event loop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from edge.outbox.frame_file import FrameKey, MakeFrame, Queued
from edge.outbox.opening import Identity
from edge.outbox.outbox import Effect, Outbox
from edge.outbox.room import Room
from edge.outbox.search import FoundFrame
from edge.outbox.streams import Totals
from sync_protocol.messages import AckRange, SeqRange, StreamAnswer, StreamState

T = TypeVar("T")
_PAGE_FRAMES = 2000


class OutboxWorker:
    """Every call runs on one thread, in the order of the calls. Arguments and results as in `Outbox`."""

    def __init__(self, outbox: Outbox, thread: ThreadPoolExecutor) -> None:
        self._outbox = outbox
        self._thread = thread

    @classmethod
    async def open(cls, path: Path, identity: Identity, room: Room) -> "OutboxWorker":
        """Open the outbox on a thread of its own."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        try:
            outbox = await asyncio.get_running_loop().run_in_executor(thread, Outbox, path, identity, room)
        except BaseException:
            thread.shutdown()
            raise
        return cls(outbox, thread)

    async def call(self, work: Callable[[Outbox], T]) -> T:
        """Run `work` on the outbox's thread. Not stopped by cancellation: what was begun is finished."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work, self._outbox)
        return await asyncio.shield(future)

    async def append(self, make: MakeFrame, keep: Mapping[str, int | str]) -> FrameKey:
        """See `Outbox.append`."""
        return await self.call(lambda outbox: outbox.append(make, keep))

    async def pick(
        self, most: int, busy: Set[FrameKey], *, only_events: bool = False, wanted: Sequence[FrameKey] = ()
    ) -> list[Queued]:
        """See `Outbox.pick`."""
        taken = frozenset(busy)
        return await self.call(lambda outbox: outbox.pick(most, taken, only_events=only_events, wanted=wanted))

    async def find(self, from_utc_ms: int, to_utc_ms: int) -> tuple[list[FoundFrame], int]:
        """Held frames that touch a range of UTC, and how many are of boots without a clock. Commits come between."""
        found: list[FoundFrame] = []
        undated = 0
        after: int | None = 0
        while after is not None:
            page = await self.call(lambda outbox, at=after: outbox.find(from_utc_ms, to_utc_ms, at, _PAGE_FRAMES))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            found += page.found
            undated += page.undated
            after = page.next_id
        return found, undated

    async def ack(self, stream_id: bytes, ranges: Sequence[AckRange]) -> list[SeqRange]:
        """See `Outbox.ack`."""
        return await self.call(lambda outbox: outbox.ack(stream_id, ranges))

    async def fork(self, stream_id: bytes, forked: Sequence[tuple[int, int]]) -> Effect:
        """See `Outbox.fork`."""
        return await self.call(lambda outbox: outbox.fork(stream_id, forked))

    async def hello_streams(self) -> tuple[StreamState, ...]:
        """See `Outbox.hello_streams`."""
        return await self.call(lambda outbox: outbox.hello_streams())

    async def answer(
        self,
        asked: Sequence[StreamState],
        answers: Sequence[StreamAnswer],
        proven: Mapping[bytes, Sequence[SeqRange]],
    ) -> Effect:
        """See `Outbox.answer`."""
        return await self.call(lambda outbox: outbox.answer(asked, answers, proven))

    async def flush(self) -> None:
        """See `Outbox.flush`."""
        await self.call(lambda outbox: outbox.flush())

    async def totals(self) -> Totals:
        """See `Outbox.totals`."""
        return await self.call(lambda outbox: outbox.totals())

    async def close(self, reason: str | None = "shutdown") -> None:
        """Finish everything begun, close the outbox, end the thread."""
        await self.call(lambda outbox: outbox.close(reason))
        self._thread.shutdown()
