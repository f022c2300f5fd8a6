"""Plays recorded rows through a sampler in their own time instead of the machine's."""

from collections.abc import Iterable, Mapping
from typing import Any

from edge.sampling.config import SamplingConfig
from edge.sampling.sampler import Emit, Sampler
from sync_protocol.messages import MarkKind, TimeAnchor


class PlayedClock:
    """Device time is where the recording is."""

    def __init__(self) -> None:
        self.now_ms = 0

    def boot_ms(self) -> int:
        """See `Clock.boot_ms`."""
        return self.now_ms


class Playback:
    """A `SensorSink` whose clock follows what it is given; frames close as they would have closed then."""

    def __init__(self, config: SamplingConfig, emit: Emit) -> None:
        self.clock = PlayedClock()
        self.sampler = Sampler(config, self.clock, emit)

    def _turn(self, boot_ms: int) -> None:
        self.clock.now_ms = max(self.clock.now_ms, boot_ms)
        self.sampler.tick()

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        """See `SensorSink.row`."""
        self._turn(boot_ms)
        self.sampler.row(group, boot_ms, values)

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        """See `SensorSink.mark`."""
        self._turn(boot_ms)
        self.sampler.mark(signal_ids, boot_ms, kind)

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        """See `SensorSink.event`."""
        self._turn(boot_ms)
        self.sampler.event(kind, boot_ms, data)

    def anchor(self, anchor: TimeAnchor) -> None:
        """See `SensorSink.anchor`."""
        self._turn(anchor.boot_ms)
        self.sampler.anchor(anchor)
