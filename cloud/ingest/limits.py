"""Bounds for each device. What lies beyond them is not acknowledged: the device keeps it and sends it again later."""

from collections.abc import Callable

from cloud.config import LimitsConfig
from cloud.ingest.book import StreamEntry

_DAY_US = 86_400_000_000


class Limits:
    """Token bucket of frames, count of new streams a day, count of open ranges.

    `passed_us` is a clock that never steps: with UTC a clock set back would leave a device shut out for as long.
    """

    def __init__(self, config: LimitsConfig, passed_us: Callable[[], int]) -> None:
        self._config = config
        self._passed_us = passed_us
        self._tokens: dict[int, tuple[float, int]] = {}
        self._streams: dict[int, list[int]] = {}

    def frame(self, device_id: int) -> str | None:
        """Take one frame's token. Returns what is exceeded, else None."""
        now_us, burst = self._passed_us(), self._config.frames_burst
        tokens, then_us = self._tokens.get(device_id, (float(burst), now_us))
        tokens = min(float(burst), tokens + (now_us - then_us) * 1e-6 * self._config.frames_per_s)
        if tokens < 1.0:
            self._tokens[device_id] = (tokens, now_us)
            return f"more than {self._config.frames_per_s:g} frames/s"
        self._tokens[device_id] = (tokens - 1.0, now_us)
        return None

    def new_stream(self, device_id: int) -> str | None:
        """Count a new stream."""
        now_us = self._passed_us()
        recent = [us for us in self._streams.get(device_id, ()) if now_us - us < _DAY_US]
        if len(recent) >= self._config.new_streams_a_day:
            self._streams[device_id] = recent
            return f"more than {self._config.new_streams_a_day} new streams a day"
        self._streams[device_id] = [*recent, now_us]
        return None

    def open_range(self, entry: StreamEntry, seq: int) -> str | None:
        """Whether a frame would open one range too many in its stream."""
        stored = entry.ledger.stored
        if len(stored) < self._config.open_ranges or seq in stored or seq - 1 in stored or seq + 1 in stored:
            return None
        return f"more than {self._config.open_ranges} open ranges in a stream"
