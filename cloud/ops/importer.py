"""Brings a recording into history the way a device would: frames of one stream over the broker, acknowledged.

So ledger, `tel`, tiers and derive treat it like any other data. The stream's id is made from the content: a second
import finds every frame stored and sends nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from itertools import pairwise

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
import numpy as np

from cloud.ops.recording import Recording
from sync_protocol import subjects
from sync_protocol.codec import Group, encode
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.ledger import Ranges
from sync_protocol.messages import (
    Ack,
    Event,
    Hello,
    HelloAnswer,
    Mark,
    Meta,
    StreamAnswer,
    StreamState,
    TimeAnchor,
    decode_down,
    encode_hello,
)

ROWS_A_FRAME = 60
GAP_MS = 60_000
WINDOW_FRAMES = 200
BOOT = 1


class Imported(msgspec.Struct, frozen=True):
    """What an import did. `frames_new` is 0 when the recording was there already."""

    file: str
    device: str
    stream_id: str
    start: str
    duration_s: float
    rows: int
    samples: int
    marked: int
    frames: int
    frames_new: int
    columns: list[str]
    ignored_columns: list[str]


def frames(recording: Recording, stream_id: bytes) -> list[bytes]:
    """The recording as frames 1, 2, ...: at most a minute of rows each, the first with the time anchor."""
    times = recording.times_ms
    utc_ms = round(recording.start.timestamp() * 1000)
    anchor = TimeAnchor(int(times[0]), utc_ms, "rtc", 1000)
    event = Event(int(times[0]), "recording_imported", {"rows": len(times), "duration_s": float(times[-1] / 1000)})
    out: list[bytes] = []
    for rows in _cuts(recording):
        first, last = int(times[rows.start]), int(times[rows.stop - 1])
        marks = tuple(_clipped(mark, first, last) for mark in recording.marks if _overlaps(mark, first, last))
        meta = Meta((event,), (anchor,), marks) if not out else Meta((), (), marks)
        some = recording.present[:, rows].any(axis=1)
        keep = recording.present[:, rows].any(axis=0)
        groups: list[Group] = []
        if keep.any():
            ids = tuple(recording.signals[int(i)].id for i in np.flatnonzero(some))
            raw = recording.raw[some, rows][:, keep]
            present = recording.present[some, rows][:, keep]
            groups = [Group(ids, times[rows][keep], raw, present)]
        if groups or meta.marks or meta.events:
            out.append(encode(stream_id, len(out) + 1, BOOT, groups, meta))
    return out


def _cuts(recording: Recording) -> Iterator[slice]:
    times = recording.times_ms
    starts = [0, *(int(i) for i in np.flatnonzero(np.diff(times) > GAP_MS) + 1), len(times)]
    for start, stop in pairwise(starts):
        for i in range(start, stop, ROWS_A_FRAME):
            yield slice(i, min(stop, i + ROWS_A_FRAME))


def _overlaps(mark: Mark, first: int, last: int) -> bool:
    return mark.first_ms <= last and first <= mark.last_ms


def _clipped(mark: Mark, first: int, last: int) -> Mark:
    return Mark(mark.signal_id, max(mark.first_ms, first), min(mark.last_ms, last), mark.kind)


class ImportLink:
    """A device for the length of one import: says hello, sends what is missing, waits for the acknowledgements."""

    def __init__(self, client: Client, tenant: str, device: str, version: str) -> None:
        self._client = client
        self._up = subjects.up(tenant, device)
        self._down = subjects.down(tenant, device)
        self._version = version
        self._done = Ranges()
        self._forked: set[int] = set()
        self._answered = asyncio.Event()
        self._answer: StreamAnswer | None = None
        self._changed = asyncio.Event()

    async def send(self, stream_id: bytes, data: list[bytes], patience: timedelta) -> int:
        """Have every frame acknowledged; returns how many were sent. `Unavailable` when nothing moves so long."""
        subscription = await self._client.subscribe(self._down, cb=self._on_message(stream_id))
        try:
            await self._hello(stream_id, len(data), patience)
            if self._answer is not None:
                for ranges in (self._answer.stored, self._answer.quarantined):
                    for first, last in ranges:
                        self._done.add(first, last)
            missing = list(self._done.missing(1, len(data)))
            wanted = [seq for first, last in missing for seq in range(first, last + 1)]
            await self._send_all(wanted, data, patience)
            return len(wanted)
        finally:
            await subscription.unsubscribe()

    async def _hello(self, stream_id: bytes, last_seq: int, patience: timedelta) -> None:
        state = StreamState(stream_id, False, last_seq, held=((1, last_seq),))
        await self._client.publish(self._up, encode_hello(Hello(self._version, BOOT, 0, (state,))))
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await self._answered.wait()
        except TimeoutError:
            raise Unavailable("the service does not answer: is ingest running?") from None
        if self._answer is None:
            raise Rejected("the service does not take another stream of this device today ($.ingest.limits)")

    async def _send_all(self, wanted: list[int], data: list[bytes], patience: timedelta) -> None:
        left = wanted
        while left := [seq for seq in left if seq not in self._done]:
            for seq in left[:WINDOW_FRAMES]:
                await self._client.publish(self._up, data[seq - 1])
            before = self._done.count()
            try:
                async with asyncio.timeout(patience.total_seconds()):
                    while any(seq not in self._done for seq in left[:WINDOW_FRAMES]):
                        self._changed.clear()
                        await self._changed.wait()
                        if self._forked:
                            raise Rejected(f"frames {sorted(self._forked)} are stored with other content")
            except TimeoutError:
                if self._done.count() == before:
                    raise Unavailable("no frame was acknowledged: see /ready of the service") from None

    def _on_message(self, stream_id: bytes) -> Callable[[Msg], Awaitable[None]]:
        async def handle(message: Msg) -> None:
            down = decode_down(message.data)
            if isinstance(down, Ack) and down.stream_id == stream_id:
                for first, last, _ in down.ranges:
                    self._done.add(first, last)
                self._forked.update(seq for seq, _ in down.forked)
                self._changed.set()
            elif isinstance(down, HelloAnswer):
                self._answer = next((s for s in down.streams if s.stream_id == stream_id), None)
                self._answered.set()

        return handle
