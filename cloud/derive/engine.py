"""Turns stored frames into outputs: one cursor for each device, in sequence order, exactly once, replayable.

Outputs and cursor are committed in one relational transaction. A frame that comes late, or that a better anchor moves,
rewinds its device to the last rewind point before it; what follows is taken again in the same transaction, so that
readers only ever see the correction.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
import time
from typing import Any

import msgspec
from sqlalchemy.orm import Session
import structlog

from cloud.config import DeriveConfig
from cloud.derive.plan import START, Plan, Position, plan
from cloud.derive.read import FrameReader
from cloud.facts import CursorRow, CursorStore, DerivedFrame, Relational, Step

log = structlog.get_logger()

_FRAMES_A_TURN = 2_000
_FRAMES_A_DEVICE = 500
_POINTS = 32
_POINT_EVERY = 100
_SAVE_EVERY_S = 60.0


class RewindPoint(msgspec.Struct, array_like=True):
    """A frame after which derive may start again, and every step's state there."""

    stream_no: int
    seq: int
    states: dict[str, msgspec.Raw]


class CursorState(msgspec.Struct, array_like=True):
    """What a cursor carries: the steps' states, rewind points oldest first, since when a gap is waited for."""

    states: dict[str, msgspec.Raw] = {}
    points: list[RewindPoint] = []
    waits_at: tuple[int, int] | None = None
    waits_since_us: int = 0


class DeviceCursor:
    """One device's place, in memory."""

    __slots__ = ("at", "device_id", "frames_since_point", "points", "saved_at", "states", "tenant_id", "waits")

    def __init__(self, device_id: int, tenant_id: int, steps: Sequence[Step]) -> None:
        self.device_id = device_id
        self.tenant_id = tenant_id
        self.at: Position = START
        self.states: dict[str, Any] = {step.name: step.start() for step in steps}
        self.points: list[RewindPoint] = []
        self.waits: tuple[Position, int] | None = None
        self.frames_since_point = 0
        self.saved_at = 0.0


class DeriveEngine:
    """Runs the steps. `notify` may be called from the event loop whenever something was committed."""

    def __init__(
        self,
        config: DeriveConfig,
        reader: FrameReader,
        steps: Sequence[Step],
        relational: Relational,
        cursors: CursorStore,
        clock_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._config = config
        self._reader = reader
        self._steps = steps
        self._relational = relational
        self._store = cursors
        self._clock_us = clock_us
        self._signals = tuple(sorted({name for step in steps for name in step.signals}))
        self._cursors: dict[int, DeviceCursor] = {}
        self._news: dict[int, None] = {}
        self._waiting: set[int] = set()
        self._uprooted: dict[int, Position] = {}
        self._has_rewinds = True
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="derive-read")
        self.frames = 0
        self.rewinds = 0

    def notify(self, device_ids: frozenset[int], has_rewinds: bool = False) -> None:
        """These devices have new frames; `has_rewinds` when some came late or were moved in time."""
        self._news.update(dict.fromkeys(device_ids))
        self._has_rewinds |= has_rewinds

    async def run(self) -> None:
        """Load the cursors, catch up, follow. Runs until cancelled."""
        await self.load()
        try:
            while True:
                if not await self.turn():
                    await asyncio.sleep(self._config.interval_s)
                    # A gap's patience may have ended.
                    self._news.update(dict.fromkeys(self._waiting))
        finally:
            self._threads.shutdown(wait=True)  # a read under way needs the store open

    async def load(self) -> None:
        """Take over the cursors; every device counts as having news.

        A cursor in a stream that the store does not know (it was put back from an older copy, or begun anew) goes back
        to the newest rewind point that it does know, once the device has frames again.
        """
        loop = asyncio.get_running_loop()
        rows = await self._relational.run(self._store.load)
        ledgers = await loop.run_in_executor(self._threads, self._reader.ledgers, [row.device_id for row in rows])
        for row in rows:
            cursor = self._cursors[row.device_id] = self._restored(row)
            streams = ledgers[row.device_id].streams if row.device_id in ledgers else ()
            if cursor.at[0] not in (START[0], *streams):
                cursor.points = [point for point in cursor.points if point.stream_no in streams]
                self._uprooted[row.device_id] = cursor.at
        self._news.update(dict.fromkeys(await loop.run_in_executor(self._threads, self._reader.devices)))
        log.info("derive_started", cursors=len(self._cursors), devices=len(self._news))

    async def turn(self) -> int:
        """Take some frames of some devices. Returns how much was done; 0 when there is nothing left to do."""
        loop = asyncio.get_running_loop()
        rewinds: Mapping[int, Position] = {}
        up_to = 0
        if self._has_rewinds:
            self._has_rewinds = False
            up_to, rewinds = await loop.run_in_executor(self._threads, self._reader.rewinds)
            self._news.update(dict.fromkeys(rewinds))
        device_ids = [*rewinds, *(d for d in list(self._news)[:_FRAMES_A_TURN] if d not in rewinds)]
        for device_id in device_ids:
            del self._news[device_id]
        if not device_ids:
            return 0
        rewinds = {**rewinds, **{d: self._uprooted.pop(d) for d in device_ids if d in self._uprooted}}
        work = await loop.run_in_executor(self._threads, self._read, device_ids, rewinds)
        if work:
            await self._relational.write(lambda session: self._apply(session, work))
        if rewinds:
            await loop.run_in_executor(self._threads, self._reader.forget_rewinds, up_to)
        return sum(len(frames) for _, frames, _, _ in work) + len(rewinds)

    def _read(self, device_ids: Sequence[int], rewinds: Mapping[int, Position]) -> list["_Work"]:
        """In the reader thread: what each device may take now."""
        ledgers = self._reader.ledgers(device_ids)
        plans: dict[int, tuple[DeviceCursor, Position, Plan, RewindPoint | bool]] = {}
        budget = _FRAMES_A_TURN
        for device_id, ledger in ledgers.items():
            cursor = self._cursors.setdefault(device_id, DeviceCursor(device_id, ledger.tenant_id, self._steps))
            point = _point_before(cursor, rewinds.get(device_id))
            at = cursor.at if point is False else START if point is True else (point.stream_no, point.seq)
            limit = _FRAMES_A_DEVICE if point is False else 1 << 40
            if budget <= 0 and point is False:
                self._news[device_id] = None
                continue
            planned = plan(ledger.streams, ledger.ranges, at, limit=limit, skip=self._out_of_patience(cursor))
            budget -= sum(last - first + 1 for _, first, last in planned.runs)
            plans[device_id] = (cursor, at, planned, point)
        runs = [run for _, _, planned, _ in plans.values() for run in planned.runs]
        found: dict[int, list[DerivedFrame]] = {}
        for frame in self._reader.frames(runs, self._signals):
            found.setdefault(frame.device_id, []).append(frame)
        work: list[_Work] = []
        for device_id, (cursor, at, planned, point) in plans.items():
            frames = found.get(device_id, [])
            expected = sum(last - first + 1 for _, first, last in planned.runs)
            end = planned.end
            if len(frames) < expected:  # a frame without UTC: wait there
                end = (frames[-1].order.stream_no, frames[-1].order.seq) if frames else at
                planned = planned._replace(end=end, waits_at=None)
            elif frames and expected >= _FRAMES_A_DEVICE:
                self._news[device_id] = None
            if frames or point is not False or planned.end != cursor.at or planned.waits_at != _waits_at(cursor):
                work.append((cursor, frames, planned, point))
        return work

    def _out_of_patience(self, cursor: DeviceCursor) -> Position | None:
        if cursor.waits is None:
            return None
        gap, since_us = cursor.waits
        now_us = self._clock_us()
        if now_us < since_us:  # the clock was set back: waiting begins anew, instead of lasting as long again
            cursor.waits = (gap, now_us)
            return None
        return gap if now_us - since_us >= self._config.gap_patience_s * 1e6 else None

    def _apply(self, session: Session, work: Sequence["_Work"]) -> None:
        """In the relational writer's thread and transaction."""
        rows: list[CursorRow] = []
        now = time.monotonic()
        for cursor, frames, planned, point in work:
            must_save = point is not False
            if point is not False:
                self._rewind(session, cursor, point)
            for frame in frames:
                for step in self._steps:
                    cursor.states[step.name] = step.apply(cursor.states[step.name], frame, session)
                self._maybe_point(cursor, frame)
            self.frames += len(frames)
            cursor.at = planned.end
            if planned.waits_at != _waits_at(cursor):
                cursor.waits = None if planned.waits_at is None else (planned.waits_at, self._clock_us())
                must_save = True
            (self._waiting.discard if cursor.waits is None else self._waiting.add)(cursor.device_id)
            has_output = bool(session.new or session.dirty or session.deleted)
            session.flush()
            # Without outputs an older cursor is as good: the same frames give the same states again.
            if must_save or has_output or now - cursor.saved_at > _SAVE_EVERY_S:
                cursor.saved_at = now
                rows.append(self._row(cursor))
        self._store.save(session, rows)

    def _rewind(self, session: Session, cursor: DeviceCursor, point: RewindPoint | bool) -> None:
        self.rewinds += 1
        if isinstance(point, RewindPoint):
            cursor.states = self._decoded(point.states)
            cursor.at = (point.stream_no, point.seq)
            cursor.points = [p for p in cursor.points if (p.stream_no, p.seq) <= cursor.at]
        else:
            cursor.states = {step.name: step.start() for step in self._steps}
            cursor.at, cursor.points = START, []
        cursor.frames_since_point = 0
        for step in self._steps:
            step.rewind(cursor.states[step.name], cursor.device_id, session)
        session.flush()

    def _maybe_point(self, cursor: DeviceCursor, frame: DerivedFrame) -> None:
        cursor.frames_since_point += 1
        if cursor.frames_since_point < _POINT_EVERY:
            return
        if all(step.is_boundary(cursor.states[step.name]) for step in self._steps):
            cursor.frames_since_point = 0
            point = RewindPoint(frame.order.stream_no, frame.order.seq, self._encoded(cursor.states))
            cursor.points = [*cursor.points, point]
            if len(cursor.points) > _POINTS:  # thin out the older half: what lies far back is rarely gone back to
                cursor.points = cursor.points[: _POINTS // 2 : 2] + cursor.points[_POINTS // 2 :]

    def _encoded(self, states: dict[str, Any]) -> dict[str, msgspec.Raw]:
        return {name: msgspec.Raw(msgspec.msgpack.encode(state)) for name, state in states.items()}

    def _decoded(self, states: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
        """States of all steps; a step that is new starts afresh."""
        return {
            step.name: msgspec.msgpack.decode(states[step.name], type=step.state_type)
            if step.name in states
            else step.start()
            for step in self._steps
        }

    def _row(self, cursor: DeviceCursor) -> CursorRow:
        waits_at, since = cursor.waits if cursor.waits is not None else (None, 0)
        state = CursorState(self._encoded(cursor.states), cursor.points, waits_at, since)
        return CursorRow(cursor.device_id, cursor.tenant_id, cursor.at[0], cursor.at[1], msgspec.msgpack.encode(state))

    def _restored(self, row: CursorRow) -> DeviceCursor:
        cursor = DeviceCursor(row.device_id, row.tenant_id, self._steps)
        state = msgspec.msgpack.decode(row.state, type=CursorState)
        cursor.at = (row.stream_no, row.seq)
        cursor.states = self._decoded(state.states)
        cursor.points = state.points
        if state.waits_at is not None:
            cursor.waits = (state.waits_at, state.waits_since_us)
            self._waiting.add(row.device_id)
        return cursor


_Work = tuple[DeviceCursor, list[DerivedFrame], Plan, RewindPoint | bool]


def _waits_at(cursor: DeviceCursor) -> Position | None:
    return None if cursor.waits is None else cursor.waits[0]


def _point_before(cursor: DeviceCursor, late: Position | None) -> RewindPoint | bool:
    """The newest rewind point before a late frame: True for the very start, False when nothing need be rewound."""
    if late is None or late > cursor.at:
        return False
    for point in reversed(cursor.points):
        if (point.stream_no, point.seq) < late:
            return point
    return True
