"""Notices that a signal has stopped coming, by the catalogue's patience for it."""

from collections.abc import Mapping

from sync_protocol.messages import Mark
from sync_protocol.signals import catalogue

_PATIENCE_PERIODS = 3


class StaleWatch:
    """Each signal that has ever come and then stays away is marked twice: when it is missed and when it is back."""

    def __init__(self, periods_s: Mapping[str, float]) -> None:
        """`periods_s`: configured periods by signal name, where they differ from the catalogue's."""
        self._patience_ms = {
            signal.id: round(1000 * max(signal.stale_s, _PATIENCE_PERIODS * periods_s.get(signal.name, 0)))
            for signal in catalogue().signals
        }
        self._last_ms: dict[int, int] = {}
        self._stale: set[int] = set()

    def seen(self, signal_id: int, boot_ms: int) -> Mark | None:
        """A sample has come. The mark of the whole silence, when there was one."""
        mark = None
        if signal_id in self._stale:
            self._stale.discard(signal_id)
            mark = Mark(signal_id, self._last_ms[signal_id] + 1, boot_ms - 1, "stale")
        self._last_ms[signal_id] = boot_ms
        return mark

    def missed(self, boot_ms: int) -> list[Mark]:
        """Marks of the signals that have just become stale."""
        marks = []
        for signal_id, last_ms in self._last_ms.items():
            if signal_id not in self._stale and boot_ms - last_ms > self._patience_ms[signal_id]:
                self._stale.add(signal_id)
                marks.append(Mark(signal_id, last_ms + 1, boot_ms, "stale"))
        return marks

    def is_stale(self, signal_id: int) -> bool:
        """Whether the signal has come once and is missed now."""
        return signal_id in self._stale
