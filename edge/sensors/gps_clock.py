"""GPS time against device time: which instant a fix belongs to, and when there is an anchor to give. Pure."""

from datetime import UTC, datetime
from typing import NamedTuple

from sync_protocol.messages import TimeAnchor

# No receiver can truly say a time before this software was released. The other bound lies below 1024 weeks: a
# receiver that miscounts the weeks of GPS is off by 19.6 years, in either direction.
RELEASED_UTC_MS = round(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1000)
BELIEVED_FOR_MS = 19 * 365 * 86_400_000

STEP_MS = 500
ANCHOR_EVERY_MS = 600_000
_AGREEING = 3
_UNCERTAINTY_MS = 500  # a receiver says the second it measured some hundred milliseconds later


class Placed(NamedTuple):
    """Where a fix stands in device time, the anchor it gives, and whether its time is to be believed."""

    boot_ms: int
    anchor: TimeAnchor | None
    is_believed: bool


class GpsClock:
    """Follows the difference of device time and GPS time. A fix that comes late is put where it belongs."""

    def __init__(self, released_utc_ms: int = RELEASED_UTC_MS) -> None:
        self._released_utc_ms = released_utc_ms
        self._offset_ms: int | None = None  # boot - utc, of the promptest fix since the last anchor
        self._odd: list[int] = []  # offsets in a row that do not fit
        self._anchored_ms = 0
        self._last_ms = -1

    def place(self, utc_ms: int, now_ms: int) -> Placed:
        """A fix of GPS time `utc_ms` came at boot time `now_ms`."""
        if not 0 <= utc_ms - self._released_utc_ms <= BELIEVED_FOR_MS:
            return Placed(self.rising(now_ms), None, False)
        offset_ms, at_ms, anchor = now_ms - utc_ms, now_ms, None
        if self._offset_ms is None:
            anchor = self._anchor(utc_ms, now_ms)
        elif abs(offset_ms - self._offset_ms) <= STEP_MS:
            self._odd.clear()
            self._offset_ms = min(self._offset_ms, offset_ms)
            if now_ms - self._anchored_ms >= ANCHOR_EVERY_MS:
                anchor = self._anchor(utc_ms, now_ms)
        else:
            self._odd = [odd for odd in self._odd if abs(odd - offset_ms) <= STEP_MS] + [offset_ms]
            if len(self._odd) >= _AGREEING:
                anchor = self._anchor(utc_ms, now_ms)
            elif offset_ms > self._offset_ms:
                # Late, as after a hang, when several come at once: each belongs to its own second.
                at_ms = utc_ms + self._offset_ms
        return Placed(self.rising(at_ms), anchor, True)

    def _anchor(self, utc_ms: int, now_ms: int) -> TimeAnchor:
        self._offset_ms = now_ms - utc_ms
        self._odd.clear()
        self._anchored_ms = now_ms
        return TimeAnchor(now_ms, utc_ms, "gps", _UNCERTAINTY_MS)

    def rising(self, boot_ms: int) -> int:
        """The instant for a row at `boot_ms`: later than every one given before."""
        self._last_ms = max(self._last_ms + 1, boot_ms)
        return self._last_ms
