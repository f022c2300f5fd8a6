"""Which time anchors are worth a place in a frame: the first, each step, a better source, one every ten minutes."""

from sync_protocol.messages import AnchorSource, TimeAnchor

REPEAT_MS = 600_000
STEP_MS = 500
_RANK: dict[AnchorSource, int] = {"gps": 0, "ntp": 1, "cloud": 2, "rtc": 3, "guess": 4}


class AnchorLog:
    """Takes what sources say UTC is and keeps the best word on it."""

    def __init__(self) -> None:
        self._best: TimeAnchor | None = None

    @property
    def best(self) -> TimeAnchor | None:
        """The anchor that is held for true now."""
        return self._best

    def utc_ms(self, boot_ms: int) -> int | None:
        """UTC at an instant by the best anchor; None while there is none but a guess."""
        if self._best is None or self._best.source == "guess":
            return None
        return self._best.utc_ms + boot_ms - self._best.boot_ms

    def offer(self, anchor: TimeAnchor) -> bool:
        """Whether this anchor says something new and must be sent."""
        best = self._best
        if best is not None and not _is_news(best, anchor):
            return False
        self._best = anchor
        return True


def _is_news(best: TimeAnchor, anchor: TimeAnchor) -> bool:
    age_ms = anchor.boot_ms - best.boot_ms
    if _RANK[anchor.source] < _RANK[best.source]:
        return True
    if _RANK[anchor.source] > _RANK[best.source]:
        return age_ms >= 2 * REPEAT_MS
    error_ms = abs(anchor.utc_ms - best.utc_ms - age_ms)
    blur_ms = 0 if anchor.source == "gps" else anchor.uncertainty_ms + best.uncertainty_ms
    return age_ms >= REPEAT_MS or error_ms > STEP_MS + blur_ms
