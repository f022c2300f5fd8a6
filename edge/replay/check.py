"""Compares what a replay gives with what was recorded: line by line, and frame by frame."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from edge.replay.player import Played, Recorded
from edge.sampling.config import SamplingConfig
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.playback import Playback
from edge.sensors.recording import AnchorLine, EventLine, FrameLine, Given, Line, MarkLine, Row, TickLine, WatchLine
from edge.sensors.replay import give
from edge.tap import frame_line
from sync_protocol.errors import Rejected
from sync_protocol.messages import TimeAnchor

_GIVEN = (Row, MarkLine, EventLine, AnchorLine)


class Report(NamedTuple):
    """The result of a comparison. `beyond` lines were given after the recording's end, and are nobody's fault."""

    lines: int
    frames: int
    differences: list[str]
    beyond: int


def check(recorded: Recorded, played: Played) -> Report:
    """Compare a replay with its recording."""
    differences = list(played.differences.texts)
    lines = beyond = 0
    for by in sorted(recorded.played):
        expected = [line for line in _given(recorded.lines) if line.by == by]
        actual = [line for _, line in played.given if line.by == by]
        beyond += max(0, len(actual) - len(expected))
        lines += len(expected)
        for number, (was, now) in enumerate(zip_longest(expected, actual)):
            if was is None:
                break
            if was != now:
                differences.append(f"{by}, line {number + 1}: recorded {_text(was)}, now {_text(now)}")
    was_frames = [line for line in recorded.lines if isinstance(line, FrameLine)]
    frames = frames_of(recorded, again(recorded, played))
    for number, (old, new) in enumerate(zip_longest(was_frames, map(_frame, frames, range(1, len(frames) + 1)))):
        if old is None:
            break
        if new is None or (old.crc, old.samples, old.events) != (new.crc, new.samples, new.events):
            differences.append(f"frame {number + 1}: recorded {_text(old)}, now {_text(new)}")
    return Report(lines, len(was_frames), differences, beyond)


def again(recorded: Recorded, played: Played) -> list[Line]:
    """The recording with the lines that the replay gave in place of those of the sensors it ran.

    They stand where the recorded ones stood while they are the same for a sensor, else where their time puts them.
    """
    actual: dict[str, list[tuple[float, Given]]] = {}
    for at_ms, line in played.given:
        actual.setdefault(line.by, []).append((at_ms, line))
    expected: dict[str, list[Given]] = {}
    for line in _given(recorded.lines):
        expected.setdefault(line.by, []).append(line)
    same = {
        by
        for by, lines in expected.items()
        if by not in recorded.played or [line for _, line in actual.get(by, [])][: len(lines)] == lines
    }
    kept = [line for line in recorded.lines if not isinstance(line, _GIVEN) or line.by in same]
    others = [entry for by, entries in actual.items() if by not in same for entry in entries]
    if not others:
        return kept
    timed = [(line.t, line) for line in kept] + [entry for entry in others if entry[0] <= recorded.end_ms]
    return [line for _, line in sorted(timed, key=lambda entry: entry[0])]


def frames_of(recorded: Recorded, lines: Iterable[Line]) -> list[ClosedFrame]:
    """The frames that the sampler makes of these lines, its looks at the clock among them."""
    context = recorded.context
    frames: list[ClosedFrame] = []
    try:
        config = msgspec.convert(context.sampling, SamplingConfig)
    except msgspec.ValidationError as err:
        raise Rejected(f"the recording's configuration is not for this software: {err}") from err
    playback = Playback(
        config, frames.append, odometer_raw=context.odometer_raw, periods_s=context.periods_s, has_ticks=True
    )
    playback.clock.now_ms = context.t
    if context.anchor is not None:
        playback.sampler.anchors.offer(TimeAnchor(*context.anchor))
    if context.watched_ms:
        playback.watch(context.t, context.watched_ms / 1000)
    for line in lines:
        match line:
            case TickLine():
                playback.tick(line.t)
            case WatchLine():
                playback.watch(line.t, line.lease_s)
            case Row() | MarkLine() | EventLine() | AnchorLine():
                give(line, line.t, playback)
            case _:
                pass
    return frames


def _frame(frame: ClosedFrame, number: int) -> FrameLine:
    return frame_line(frame, 0, number)


def _given(lines: Iterable[Line]) -> Iterator[Given]:
    return (line for line in lines if isinstance(line, _GIVEN))


def _text(line: Given | FrameLine | None) -> str:
    return "nothing" if line is None else msgspec.json.encode(line).decode()
