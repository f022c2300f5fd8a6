"""Puts frames on the link: which, when, and how many in a message.

A frame travels alone as soon as it is committed, or, where bytes cost money, in a bundle after waiting for others. An
event never waits, and takes along what does. A backlog travels in bundles everywhere: it saves a third of its bytes.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence

from edge.clock import Clock
from edge.health import Counters
from edge.uplink.link import Link
from edge.uplink.policy import Policy
from edge.uplink.pull import Pulls
from edge.uplink.source import FrameKey, Source, ToSend
from edge.uplink.traffic import Kind
from edge.uplink.window import Window
from sync_protocol.bundle import pack
from sync_protocol.header import read_header
from sync_protocol.short import shorten

_LIVE_MS = 60_000
_SLACK_MS = 500  # a frame that is committed this short before the bundle is due does not wait for the next one
_MOST_FRAMES = 128
_MOST_BYTES = 32_768  # a live frame may have to wait for a message of this size to leave
_ALONE_AFTER = 3  # tries: a bundle that the cloud cannot open must not hold up what is in it


class Sender:
    """Takes frames from the source, within the window and the policy. `frames` and `again` count them, `up` bytes."""

    def __init__(
        self,
        clock: Clock,
        source: Source,
        policy: Policy,
        window: Window,
        counters: Counters,
        *,
        boot: int,
        pulls: Pulls | None,
        is_watched: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._source = source
        self._policy = policy
        self._window = window
        self._counters = counters
        self._boot = boot
        self._pulls = pulls
        self._is_watched = is_watched
        self._wanted: frozenset[FrameKey] = frozenset()
        self._short_streams: frozenset[bytes] = frozenset()
        self._filled_ms: int | None = None
        self._is_behind = False
        self.frames = 0
        self.again = 0
        self.bytes_up = 0

    def begin(self) -> None:
        """A new connection: what waits goes at once, and whole until the cloud says that it need not."""
        self._filled_ms = None
        self._short_streams = frozenset()

    def shorten(self, streams: Iterable[bytes]) -> None:
        """The cloud takes frames of these streams in their short form."""
        self._short_streams = frozenset(streams)

    async def fill(self, link: Link, *, is_pressing: bool) -> int:
        """Send one message's worth, within the window; events and the newest come first each time.

        Returns how many frames went out. `is_pressing`: nothing waits longer.
        """
        free = min(self._window.free() - self._window.kept_for_new, _MOST_FRAMES)
        if free <= 0:
            return await self._fill_new(link) if self._window.free() else 0
        wanted = await self._pulls.wanted() if self._pulls is not None else ()
        self._wanted = frozenset(wanted)
        busy = self._window.waiting()
        only_events = not self._policy.may_send_all
        waits = self._waits() and not is_pressing
        frames = await self._source.pick(free, busy, only_events=only_events or waits, wanted=wanted)
        if waits and frames and not only_events:
            frames = await self._source.pick(free, busy, wanted=wanted)
        if self._pulls is not None and len(frames) < free:  # then every wanted frame that is still held was picked
            self._pulls.gone(self._wanted - busy - {_key(frame) for frame in frames})
        if frames:
            self._filled_ms = self._clock.boot_ms()
            self._is_behind = len(frames) == free
        for parcel in self._parcels(frames):
            await self._send(link, parcel)
        return len(frames)

    async def _fill_new(self, link: Link) -> int:
        """The backlog has its part of the window: what is new need not wait until some of it is acknowledged."""
        only_events = not self._policy.may_send_all or self._waits()
        picked = await self._source.pick(1, self._window.waiting(), only_events=only_events)
        frames = [frame for frame in picked if frame.has_events or self._is_live(frame)]
        for frame in frames:
            await self._send(link, [frame])
        return len(frames)

    def _bundle_ms(self) -> int:
        return 0 if self._is_watched() else round(1000 * self._policy.bundle_s)

    def _waits(self) -> bool:
        """Whether frames without events still wait for others."""
        if self._filled_ms is None or self._is_behind:
            return False
        return self._clock.boot_ms() - self._filled_ms < self._bundle_ms() - _SLACK_MS

    def _parcels(self, frames: Sequence[ToSend]) -> Iterator[list[ToSend]]:
        """What goes in one message each. On a free link frames with events and the newest one go alone, and first."""
        company: list[ToSend] = []
        newest = next((frame for frame in frames if not frame.has_events), None)
        for frame in frames:
            is_tried = self._window.tries(_key(frame)) >= _ALONE_AFTER
            if is_tried or (not self._policy.bundle_s and (frame.has_events or frame is newest)):
                yield [frame]
            else:
                company.append(frame)
        parcel: list[ToSend] = []
        size_bytes = 0
        for frame in company:
            if parcel and (len(parcel) >= _MOST_FRAMES or size_bytes + len(frame.body) > _MOST_BYTES):
                yield parcel
                parcel, size_bytes = [], 0
            parcel.append(frame)
            size_bytes += len(frame.body)
        if parcel:
            yield parcel

    async def _send(self, link: Link, parcel: list[ToSend]) -> None:
        parcel = sorted(parcel, key=_key)
        data = self._alone(parcel[0])
        if len(parcel) > 1 or self._policy.bundle_s:
            packed = await asyncio.to_thread(pack, [frame.body for frame in parcel])
            data = packed if len(parcel) > 1 or len(packed) < len(data) else data
        await link.publish(data)
        self.bytes_up += len(data)
        whole, sent, counted = sum(len(frame.body) for frame in parcel), 0, 0
        for frame in parcel:
            is_first = self._window.send(_key(frame), self._clock.boot_ms())
            sent += len(frame.body)
            share = len(data) * sent // whole - counted  # of the message's bytes; the shares add up to it
            counted += share
            self._policy.count(self._kind(frame, is_first), up=share)
            self.frames += 1
            if is_first:
                self._counters.received += 1
            else:
                self.again += 1

    def _alone(self, frame: ToSend) -> bytes:
        """Short if the cloud can read it; whole when it did not arrive or is asked for: the cloud may have lost all."""
        key = _key(frame)
        may_be_short = frame.stream_id in self._short_streams and key not in self._wanted
        return (shorten(frame.body) if may_be_short and not self._window.tries(key) else None) or frame.body

    def _kind(self, frame: ToSend, is_first: bool) -> Kind:
        if not is_first:
            return "again"
        if _key(frame) in self._wanted:
            return "pulled"
        if frame.has_events:
            return "event"
        return "live" if self._is_live(frame) else "backlog"

    def _is_live(self, frame: ToSend) -> bool:
        header = read_header(frame.body)
        age_ms = self._clock.boot_ms() - header.last_ms
        return header.boot == self._boot and age_ms < _LIVE_MS + self._bundle_ms()


def _key(frame: ToSend) -> FrameKey:
    return frame.stream_id, frame.seq
