"""Periods that a vehicle's bus has time for: the catalogue's where they fit, longer ones for what changes slowly."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from edge.sensors.obd.profile import longest_period_s
from edge.sensors.obd.schedule import FIRST_PIDS, batches, groups_of
from sync_protocol.signals import Signal

BUS_SHARE = 0.7  # the rest is for trouble codes, the voltage, and answers that come late
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300)


class Cost(NamedTuple):
    """How long requests take: `answer_ms` of one for each PID alone, `more_ms` for each PID more in the same one."""

    answer_ms: Mapping[int, float]
    more_ms: float
    batch_size: int
    owner: Mapping[int, int]

    def of(self, batch: Collection[int]) -> float:
        """Milliseconds of a request for these PIDs."""
        return max(self.answer_ms[pid] for pid in batch) + self.more_ms * (len(batch) - 1)


class Chosen(NamedTuple):
    """Periods by signal name, and the share of time that the bus is busy with them."""

    periods_s: dict[str, float]
    load: float

    @property
    def fits(self) -> bool:
        """Whether the bus has the time."""
        return self.load <= BUS_SHARE


def load(signals: Iterable[Signal], periods_s: Mapping[str, float], cost: Cost) -> float:
    """The share of time that reading `signals` takes; 1 is all of it."""
    return sum(
        cost.of(batch) / group.period_ms
        for group in groups_of(signals, periods_s)
        for batch in batches(group.pids, cost.owner, cost.batch_size)
    )


def choose(signals: Collection[Signal], begin_s: Mapping[str, float], cost: Cost) -> Chosen:
    """Lengthen the periods, the catalogue's or those of `begin_s`, until the bus has the time or none may grow.

    What has the most patience left before it would be stale waits first; `FIRST_PIDS` keep their period.
    """
    periods_s = {signal.name: begin_s.get(signal.name, signal.period_s) for signal in signals}
    by_pid: dict[int, list[Signal]] = {}
    for signal in signals:
        if signal.pid is not None and signal.pid not in FIRST_PIDS:
            by_pid.setdefault(signal.pid, []).append(signal)
    while (busy := load(signals, periods_s, cost)) > BUS_SHARE:
        patience = {pid: _patience(own, periods_s) for pid, own in by_pid.items()}
        pid = max(patience, key=lambda pid: (patience[pid], pid), default=None)
        if pid is None or not patience[pid]:
            break
        periods_s.update({signal.name: _next_s(signal, periods_s[signal.name]) for signal in by_pid[pid]})
    return Chosen(periods_s, busy)


def _patience(signals: Iterable[Signal], periods_s: Mapping[str, float]) -> float:
    """How many times as long the periods may be; 0 when none may grow."""
    now_s = {signal: periods_s[signal.name] for signal in signals}
    growing = [signal for signal, period_s in now_s.items() if _next_s(signal, period_s) > period_s]
    return max((longest_period_s(signal) / now_s[signal] for signal in growing), default=0)


def _next_s(signal: Signal, period_s: float) -> float:
    return next((step for step in _STEPS_S if period_s < step <= longest_period_s(signal)), period_s)
