"""The sampler: takes rows, marks, events and anchors from every sensor, and closes frames."""

from collections.abc import Callable, Iterable, Mapping
import math
from typing import Any

import msgspec

from edge.clock import Clock
from edge.health import Counters, StageHealth
from edge.sampling.anchors import AnchorLog
from edge.sampling.config import SamplingConfig
from edge.sampling.derive import FUEL_RATE, ODOMETER, FuelRate, Odometer
from edge.sampling.open_frame import ClosedFrame, OpenFrame
from edge.sampling.staleness import StaleWatch
from sync_protocol.messages import AnchorSource, Event, MarkKind, TimeAnchor
from sync_protocol.signals import Signal, catalogue

_MOST_BODY_BYTES = 56_000
_MOST_EVENTS = 100
_MOST_EVENT_BYTES = 2_048
_LONGEST_DISTANCE_MS = 3_600_000
_DAY_MS = 86_400_000

Emit = Callable[[ClosedFrame], None]
Live = Callable[[int, Mapping[int, int]], None]


class Sampler:
    """Sink of all sensors. Runs on the event loop and never blocks.

    `emit` gets each closed frame; `wake` is called when a frame should be closed before the next regular `tick`.
    """

    def __init__(
        self,
        config: SamplingConfig,
        clock: Clock,
        emit: Emit,
        *,
        odometer_raw: int = 0,
        periods_s: Mapping[str, float] | None = None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._emit = emit
        self._wake = wake
        self._periods_s = periods_s or {}
        self._forget(odometer_raw)
        self._limits = {signal.id: _raw_limits(signal) for signal in catalogue().signals}
        self._watched_until_ms = 0
        self._watched_ms = 0
        self._watch_day = 0
        self._last_tick_ms = clock.boot_ms()
        self._is_due = False
        self._counters = Counters()
        self.latest: dict[int, tuple[int, int]] = {}
        self.anchors = AnchorLog()

    def _forget(self, odometer_raw: int) -> None:
        self._open = OpenFrame()
        self._stale = StaleWatch(self._periods_s)
        self._fuel = FuelRate(None if self._config.fuel == "auto" else self._config.fuel)
        self._odometer = Odometer(odometer_raw)
        self._out: set[int] = set()

    def begin_anew(self) -> int:
        """Close the frame and forget what the samples before it tell about those to come. Returns the odometer.

        A raw recording begins so: its frames depend on what is in it, and on nothing else.
        """
        self.close()
        odometer_raw = self._odometer.total_raw
        self._forget(odometer_raw)
        return odometer_raw

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        """See `SensorSink.row`."""
        self._counters.received += len(values)
        if not self._is_plausible(boot_ms):
            self._counters.dropped["bad_time"] += len(values)
            return
        good = {signal_id: raw for signal_id, raw in values.items() if signal_id in self._limits}
        if len(good) < len(values):
            self._counters.dropped["unknown_signal"] += len(values) - len(good)
        if not good:
            return
        derived = self._derive(boot_ms, good)
        self._counters.received += len(derived)
        good |= derived
        replaced = self._open.row(group, boot_ms, good)
        if replaced:
            self._counters.dropped["same_instant"] += replaced
        for signal_id, raw in good.items():
            self._note(signal_id, boot_ms, raw)
        self._close_if_large()

    def _close_if_large(self) -> None:
        if self._open.most_bytes >= _MOST_BODY_BYTES or len(self._open.events) >= _MOST_EVENTS:
            self.close()

    def _is_plausible(self, boot_ms: int) -> bool:
        return boot_ms >= 0 and abs(boot_ms - self._clock.boot_ms()) <= _LONGEST_DISTANCE_MS

    def _derive(self, boot_ms: int, values: Mapping[int, int]) -> dict[int, int]:
        derived = {}
        if FUEL_RATE.id not in values and (fuel := self._fuel.raw(values)) is not None:
            derived[FUEL_RATE.id] = fuel
        if ODOMETER.id not in values and (distance := self._odometer.raw(boot_ms, values)) is not None:
            derived[ODOMETER.id] = distance
        return derived

    def _note(self, signal_id: int, boot_ms: int, raw: int) -> None:
        newest = self.latest.get(signal_id)
        if newest is not None and newest[0] > boot_ms:
            return
        self.latest[signal_id] = (boot_ms, raw)
        back = self._stale.seen(signal_id, boot_ms)
        if back is not None:
            self._open.mark(back.signal_id, back.first_ms, back.last_ms, back.kind, join=False)
        lowest, highest = self._limits[signal_id]
        if lowest <= raw <= highest:
            self._out.discard(signal_id)
        else:
            self._open.mark(signal_id, boot_ms, boot_ms, "out_of_range", join=signal_id in self._out)
            self._out.add(signal_id)

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        """See `SensorSink.mark`. Marks of one signal and kind within a frame become one."""
        if self._is_plausible(boot_ms):
            for signal_id in signal_ids:
                self._open.mark(signal_id, boot_ms, boot_ms, kind, join=True)
            self._close_if_large()

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        """See `SensorSink.event`. Closes the frame: events do not wait."""
        if len(msgspec.msgpack.encode(data)) > _MOST_EVENT_BYTES:
            self._counters.errors["event_too_large"] += 1
            data = {"is_cut": True}
        self._open.event(Event(boot_ms if self._is_plausible(boot_ms) else self._clock.boot_ms(), kind, data))
        self._is_due = True
        self._close_if_large()
        self._wake()

    def anchor(self, anchor: TimeAnchor) -> None:
        """See `SensorSink.anchor`. Only what is news goes into a frame."""
        if self._is_plausible(anchor.boot_ms) and self.anchors.offer(anchor):
            self._open.anchor(anchor)

    def cloud_time(self, boot_ms: int, utc_ms: int, uncertainty_ms: int) -> None:
        """The cloud has said what time it is."""
        self.anchor(TimeAnchor(boot_ms, utc_ms, "cloud", uncertainty_ms))

    def utc(self, boot_ms: int) -> tuple[int | None, AnchorSource | None]:
        """UTC at an instant as far as the device knows, and from whom."""
        best = self.anchors.best
        return self.anchors.utc_ms(boot_ms), best.source if best else None

    def watch(self, lease_s: float) -> None:
        """Somebody looks at this vehicle for so long: close a frame every second, as far as the day's budget goes."""
        self._watched_until_ms = max(self._watched_until_ms, self._clock.boot_ms() + round(1000 * lease_s))

    @property
    def watched_left_ms(self) -> int:
        """How much longer somebody looks, if the lease is not renewed."""
        return max(0, self._watched_until_ms - self._clock.boot_ms())

    def is_watched(self) -> bool:
        """Whether frames are closed every second now."""
        is_within_budget = self._watched_ms < 1000 * self._config.watch_budget_s
        return self._clock.boot_ms() < self._watched_until_ms and is_within_budget

    def is_stale(self, signal_id: int) -> bool:
        """Whether a signal that once came is missed."""
        return self._stale.is_stale(signal_id)

    def tick(self) -> None:
        """Close the frame when it is time, and notice what is missed. Called several times a second."""
        now_ms = self._clock.boot_ms()
        is_watched = self.is_watched()
        if now_ms // _DAY_MS != self._watch_day:
            self._watch_day, self._watched_ms = now_ms // _DAY_MS, 0
        if is_watched:
            self._watched_ms += now_ms - self._last_tick_ms
        self._last_tick_ms = now_ms
        for mark in self._stale.missed(now_ms):
            self._open.mark(mark.signal_id, mark.first_ms, mark.last_ms, mark.kind, join=False)
        first_ms = self._open.first_ms
        period_ms = round(1000 * (self._config.watched_period_s if is_watched else self._config.frame_period_s))
        if self._is_due or (first_ms is not None and now_ms >= (first_ms // period_ms + 1) * period_ms):
            self.close()

    def close(self) -> None:
        """Close the frame now, if there is anything in it."""
        self._is_due = False
        if self._open.is_empty:
            return
        frame = self._open.close(self._odometer.total_raw)
        self._open = OpenFrame()
        self._out.clear()
        self._counters.sent += frame.samples
        self._emit(frame)

    def health(self) -> StageHealth:
        """Counts of samples; queued are those of the open frame."""
        return self._counters.health(self._open.samples)


def _raw_limits(signal: Signal) -> tuple[int, int]:
    """The raw integers between which the quantity is physically possible."""
    low = (signal.min - signal.offset) / signal.factor
    high = (signal.max - signal.offset) / signal.factor
    return math.ceil(round(low, 6)), math.floor(round(high, 6))
