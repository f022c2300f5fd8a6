"""When to read what: groups of signals by period, on a grid of device time, in requests that fit the adapter."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sync_protocol.signals import Signal

# Read first, and in every row of their group however slow the adapter is: speed, engine speed, load, throttle.
FIRST_PIDS = (0x0D, 0x0C, 0x04, 0x11)
_BUDGET = 0.8  # share of a period that a group may take before the rest of its requests waits for the next instant


class Group:
    """Signals with one period. `name` is `obd_1s`, `obd_10s`, ...; instants are multiples of `period_ms`."""

    def __init__(self, period_s: float, signals: Iterable[Signal]) -> None:
        self.name = f"obd_{period_s:g}s"
        self.period_ms = max(1, round(period_s * 1000))
        self.signals = tuple(signals)
        self.batches: list[tuple[int, ...]] = []
        self._due_ms: int | None = None
        self._cursor = 0

    @property
    def pids(self) -> list[int]:
        """The PIDs of the signals, the most wanted first."""
        pids = {s.pid for s in self.signals if s.pid is not None}
        return sorted(pids, key=lambda pid: (FIRST_PIDS.index(pid) if pid in FIRST_PIDS else len(FIRST_PIDS), pid))

    def take_due(self, now_ms: int) -> int | None:
        """The instant to read for now, or None. Instants that were missed are skipped, never read late."""
        if self._due_ms is None:
            self._due_ms = -(-now_ms // self.period_ms) * self.period_ms
        if now_ms < self._due_ms:
            return None
        instant_ms = now_ms // self.period_ms * self.period_ms
        self._due_ms = instant_ms + self.period_ms
        return instant_ms

    def next_ms(self, now_ms: int) -> int:
        """When the group is due next."""
        return self._due_ms if self._due_ms is not None else now_ms

    def round(self) -> list[tuple[int, ...]]:
        """The batches in the order to ask now: the first one, then those that had no turn in the last round."""
        if len(self.batches) < 2:
            return list(self.batches)
        rest = self.batches[1:]
        at = self._cursor % len(rest)
        return [self.batches[0], *rest[at:], *rest[:at]]

    def asked(self, count: int) -> None:
        """`count` batches of the last round were asked; the next round goes on behind them."""
        self._cursor += count - 1

    def budget_ms(self) -> float:
        """How long a round may take before its rest waits."""
        return self.period_ms * _BUDGET

    def split(self, batch: tuple[int, ...]) -> None:
        """Ask for the PIDs of `batch` one by one from now on."""
        at = self.batches.index(batch)
        self.batches[at : at + 1] = [(pid,) for pid in batch]

    def drop(self, batch: tuple[int, ...]) -> None:
        """Do not ask for `batch` again."""
        self.batches.remove(batch)


def groups_of(signals: Iterable[Signal], periods_s: Mapping[str, float]) -> list[Group]:
    """Groups by period, the shortest first. `periods_s` by signal name goes before the catalogue."""
    by_period: dict[float, list[Signal]] = {}
    for signal in signals:
        by_period.setdefault(periods_s.get(signal.name, signal.period_s), []).append(signal)
    return [Group(period_s, by_period[period_s]) for period_s in sorted(by_period)]


def batches(pids: Sequence[int], owner: Mapping[int, int], size: int) -> list[tuple[int, ...]]:
    """Split into requests of at most `size` PIDs that one computer answers (`owner` by PID), keeping the order."""
    by_owner: dict[int, list[int]] = {}
    for pid in pids:
        by_owner.setdefault(owner[pid], []).append(pid)
    return [tuple(own[i : i + size]) for own in by_owner.values() for i in range(0, len(own), size)]


def owners(supported: Mapping[int, Collection[int]]) -> dict[int, int]:
    """Which computer to believe for each PID: the one with the lowest address, on nearly every vehicle the engine's."""
    owner: dict[int, int] = {}
    for ecu in sorted(supported):
        for pid in supported[ecu]:
            owner.setdefault(pid, ecu)
    return owner
