"""A recording in place of sensors: plays rows, marks, events and anchors at any speed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from edge.sensors.base import Fact, LinkState, SensorSink, SensorState
from edge.sensors.recording import AnchorLine, EventLine, Given, MarkLine, Row, read_given, read_header
from sync_protocol.messages import TimeAnchor


class ReplayConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to play, and how."""

    path: str
    speed: Annotated[float, msgspec.Meta(ge=0)] = 1.0  # 0: all at once, with the times of the recording


class ReplaySensor:
    """Plays one recording and ends.

    At speed `s` what came `d` ms after the beginning comes `d / s` ms after `run` was called, and its time is that of
    the clock. At speed 0 nothing waits and the recording's own times stand: the same bytes in give the same rows out.
    Anchors keep their UTC. Played faster or slower, only the first is given, since the others would contradict it.
    """

    name = "replay"

    def __init__(self, config: ReplayConfig, clock: Callable[[], int]) -> None:
        """`clock` gives boot_ms. `Rejected` when the file is not a recording."""
        self._path = Path(config.path)
        self._speed = config.speed
        self._clock = clock
        self.header = read_header(self._path)
        self._link: LinkState = "closed"
        self._detail = "not started"
        self._since_ms = clock()
        self._played = 0

    def state(self) -> SensorState:
        """`open` while it plays."""
        facts: dict[str, Fact] = {"path": self._path.name, "speed": self._speed, "played": self._played}
        return SensorState(self._link, self._detail, self._since_ms, facts)

    async def run(self, sink: SensorSink) -> None:
        """Play to the end. `Rejected` for a damaged line inside."""
        self._become("open", "playing")
        begin_ms: int | None = None
        start_ms = self._clock()
        has_anchored = False
        try:
            for line in read_given(self._path):
                begin_ms = line.t if begin_ms is None else begin_ms
                at_ms = line.t
                if self._speed > 0:
                    at_ms = start_ms + round((line.t - begin_ms) / self._speed)
                    if (wait_ms := at_ms - self._clock()) > 0:
                        await asyncio.sleep(wait_ms / 1000)
                elif self._played % 1000 == 0:
                    await asyncio.sleep(0)  # let others work
                if isinstance(line, AnchorLine):
                    if has_anchored and self._speed not in (0, 1):
                        continue
                    has_anchored = True
                give(line, at_ms, sink)
                self._played += 1
        finally:
            self._become("closed", "ended")

    def _become(self, link: LinkState, detail: str) -> None:
        self._link, self._detail, self._since_ms = link, detail, self._clock()


def give(line: Given, at_ms: int, sink: SensorSink) -> None:
    """Hand one recorded line to a sink, as of `at_ms`."""
    match line:
        case Row():
            sink.row(line.group, at_ms, line.raw)
        case MarkLine():
            sink.mark(line.ids, at_ms, line.kind)
        case EventLine():
            sink.event(line.kind, at_ms, line.data)
        case AnchorLine():
            sink.anchor(TimeAnchor(at_ms, line.utc_ms, line.source, line.uncertainty_ms))
