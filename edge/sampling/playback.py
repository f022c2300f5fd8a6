"""Plays what a sampler was given, in its own time instead of the machine's."""

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
    """A `SensorSink` whose clock follows what it is given.

    Frames close as they would have closed then; or, with `has_ticks`, at the recorded ticks, exactly as they did.
    """

    def __init__(
        self,
        config: SamplingConfig,
        emit: Emit,
        *,
        odometer_raw: int = 0,
        periods_s: Mapping[str, float] | None = None,
        has_ticks: bool = False,
    ) -> None:
        self.clock = PlayedClock()
        self._has_ticks = has_ticks
        self.sampler = Sampler(config, self.clock, emit, odometer_raw=odometer_raw, periods_s=periods_s)

    def tick(self, boot_ms: int) -> None:
        """The sampler looked at the clock then."""
        self.clock.now_ms = max(self.clock.now_ms, boot_ms)
        self.sampler.tick()

    def watch(self, boot_ms: int, lease_s: float) -> None:
        """Somebody began to look at the vehicle then."""
        self.clock.now_ms = max(self.clock.now_ms, boot_ms)
        self.sampler.watch(lease_s)

    def _turn(self, boot_ms: int) -> None:
        self.clock.now_ms = max(self.clock.now_ms, boot_ms)
        if not self._has_ticks:
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
