"""Plays a raw recording: the agent's own sensors in virtual time, on the bytes that were recorded."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
import random
import tempfile
from typing import Any, NamedTuple, TypeVar

import msgspec

from edge.replay.played_gpsd import PlayedStream
from edge.replay.played_port import PlayedPort
from edge.replay.script import Differences, Script
from edge.replay.virtual_loop import VirtualLoop
from edge.sensors.base import Sensor
from edge.sensors.gps import GpsConfig, GpsSensor
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.sensor import ObdSensor
from edge.sensors.recording import (
    AnchorLine,
    BusLine,
    Context,
    EventLine,
    Given,
    GpsLine,
    Line,
    MarkLine,
    Row,
    read_recording,
)
from sync_protocol.errors import Rejected
from sync_protocol.messages import MarkKind, TimeAnchor

_LONGEST_LATER_S = 60.0

T = TypeVar("T")


class Recorded(NamedTuple):
    """A raw recording in memory."""

    context: Context
    lines: list[Line]

    @property
    def played(self) -> frozenset[str]:
        """The sensors whose bytes it has: they are run again. What the others gave is taken as it stands."""
        return frozenset(name for name in ("obd", "gps") if getattr(self.context, name) is not None)

    @property
    def end_ms(self) -> float:
        """When it ends."""
        return max((line.t for line in self.lines), default=self.context.t)


class Played(NamedTuple):
    """What the sensors gave, each line with the device time at which it was given, and how they left the script."""

    given: list[tuple[float, Given]]
    differences: Differences


def load(path: Path) -> Recorded | None:
    """The recording, or None for one that has rows only. `Rejected` as `read_recording`."""
    lines = list(read_recording(path))
    context = next((line for line in lines if isinstance(line, Context)), None)
    return None if context is None else Recorded(context, lines)


def play(
    recorded: Recorded, *, speed: float = 0.0, is_strict: bool = False, tell: Callable[[Given], None] | None = None
) -> Played:
    """Run the sensors on what was recorded. `speed` as `VirtualLoop`; `tell` gets each line as it is given.

    `Diverged` when `is_strict` and the software asks something else than it did; `Rejected` for a context that this
    software does not understand.
    """
    differences = Differences(is_strict=is_strict)
    given: list[tuple[float, Given]] = []

    def take(at_ms: float, line: Given) -> None:
        given.append((at_ms, line))
        if tell is not None:
            tell(line)

    def loop() -> VirtualLoop:
        return VirtualLoop(recorded.context.t, speed)

    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(_play(recorded, differences, take))
    except ExceptionGroup as group:
        raise _first(group) from group
    return Played(given, differences)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _play(recorded: Recorded, differences: Differences, take: Callable[[float, Given], None]) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    with tempfile.TemporaryDirectory(prefix="milepost-replay-") as folder:
        scripts: list[Script] = []
        sensors = list(_sensors(recorded, differences, loop, Path(folder), scripts))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(s.run(_Collecting(s.name, loop, take))) for s in sensors]
            end_s = recorded.end_ms / 1000
            await asyncio.sleep(end_s - loop.time())
            while any(script.head is not None for script in scripts) and loop.time() < end_s + _LONGEST_LATER_S:
                await asyncio.sleep(0.1)
            for task in tasks:
                task.cancel()
        for script in scripts:
            if script.head is not None:
                script.differs("the end: the rest was never asked for")


def _sensors(
    recorded: Recorded, differences: Differences, loop: VirtualLoop, folder: Path, scripts: list[Script]
) -> Iterable[Sensor]:
    context = recorded.context
    if context.obd is not None:
        bus = Script("bus", [line for line in recorded.lines if isinstance(line, BusLine)], differences, ahead=True)
        scripts.append(bus)
        memory = folder / "obd.json"
        memory.write_bytes(msgspec.json.encode(context.obd_memory))
        config = _convert(context.obd | {"state_path": str(memory)}, ObdConfig)
        yield ObdSensor(
            config,
            lambda: bus.clock(loop.boot_ms),
            lambda *_: PlayedPort.open(bus),
            random.Random(context.seeds.get("obd")),
        )
    if context.gps is not None:
        gps = Script("gps", [line for line in recorded.lines if isinstance(line, GpsLine)], differences, ahead=False)
        scripts.append(gps)
        receiver = _convert(context.gps, GpsConfig)
        yield GpsSensor(
            receiver,
            lambda: gps.clock(loop.boot_ms),
            context.released_utc_ms,
            lambda *_: PlayedStream.open(gps, receiver.silence_s),
            random.Random(context.seeds.get("gps")),
        )


def _convert(content: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as err:
        raise Rejected(f"the recording's configuration is not for this software: {err}") from err


class _Collecting:
    """A sink that writes down what it gets as a recorder does."""

    def __init__(self, by: str, loop: VirtualLoop, take: Callable[[float, Given], None]) -> None:
        self._by = by
        self._loop = loop
        self._take = take

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        self._take(self._loop.precise_ms(), Row(boot_ms, group, dict(values), self._by))

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        self._take(self._loop.precise_ms(), MarkLine(boot_ms, tuple(signal_ids), kind, self._by))

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        # As it reads in the file: a tuple is a list there.
        plain = msgspec.json.decode(msgspec.json.encode(data))
        self._take(self._loop.precise_ms(), EventLine(boot_ms, kind, plain, self._by))

    def anchor(self, anchor: TimeAnchor) -> None:
        line = AnchorLine(anchor.boot_ms, anchor.utc_ms, anchor.source, anchor.uncertainty_ms, self._by)
        self._take(self._loop.precise_ms(), line)
