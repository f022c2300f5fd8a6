"""What to do with a request that fails while others are answered: ask for less, later for all of it again."""

from collections.abc import Callable

import structlog

from edge.sensors.obd.schedule import Group

log = structlog.get_logger(__name__)

_FAILURES_TO_SPLIT = 2
_FAILURES_TO_DROP = 5
_FIRST_WAIT_MS = 60_000
_LONGEST_WAIT_MS = 3_600_000

Batch = tuple[int, ...]


class Mending:
    """Splits and drops the requests of one stay, and takes them up again after a minute, then two, up to an hour.

    A gearbox computer that restarts, or ten bad seconds of a cable, must not cost the rest of a day's drive.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        """`clock` gives boot_ms."""
        self._clock = clock
        self._failures: dict[Batch, int] = {}
        self._waits_ms: dict[Batch, int] = {}
        self._waiting: list[tuple[int, Group, Batch]] = []

    def worked(self, batch: Batch) -> None:
        """All of `batch` was answered."""
        self._failures.pop(batch, None)

    def failed(self, group: Group, batch: Batch, *, is_vehicle_there: bool, reason: str) -> bool:
        """`batch` was not answered, or not wholly. Whether it is split from now on."""
        count = self._failures[batch] = self._failures.get(batch, 0) + 1
        if len(batch) > 1 and count >= _FAILURES_TO_SPLIT:
            group.split(batch)
            self._later(group, batch)
            log.info("obd_request_split", pids=_names(batch), reason=reason)
            return True
        if count >= _FAILURES_TO_DROP and is_vehicle_there and len(group.batches) > 1:
            group.drop(batch)
            self._later(group, batch)
            log.info("obd_pid_dropped", pid=_names(batch)[0], reason=reason)
        return False

    def take_up(self) -> None:
        """Try again what has waited long enough."""
        now_ms = self._clock()
        for due in [entry for entry in self._waiting if entry[0] <= now_ms]:
            self._waiting.remove(due)
            _, group, batch = due
            # One failure is enough this time.
            self._failures[batch] = (_FAILURES_TO_DROP if len(batch) == 1 else _FAILURES_TO_SPLIT) - 1
            if len(batch) == 1:
                group.batches.append(batch)
            else:
                self._join(group, batch)

    def _join(self, group: Group, batch: Batch) -> None:
        alone = [(pid,) for pid in batch if (pid,) in group.batches]
        if len(alone) < 2:
            return
        joined = tuple(pid for (pid,) in alone)
        self._failures[joined] = _FAILURES_TO_SPLIT - 1
        self._waits_ms[joined] = self._waits_ms[batch]
        at = group.batches.index(alone[0])
        rest = [other for other in group.batches if other not in alone]
        rest.insert(at, joined)
        group.batches[:] = rest

    def _later(self, group: Group, batch: Batch) -> None:
        self._failures.pop(batch, None)
        wait_ms = min(_LONGEST_WAIT_MS, 2 * self._waits_ms[batch] if batch in self._waits_ms else _FIRST_WAIT_MS)
        self._waits_ms[batch] = wait_ms
        self._waiting.append((self._clock() + wait_ms, group, batch))


def _names(batch: Batch) -> list[str]:
    return [f"{pid:02X}" for pid in batch]
