"""When a device sampled nothing, and the reason that the device itself gives.

A silence is a gap between two stretches of samples. The device explains it afterwards, by the `agent_started` event
that tells how the run before ended, or beforehand, by `agent_stopping` or `obd_lost`. What no event explains is
`unknown`, as is a silence that lasts, until the device comes back and tells.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import get_args

from cloud.fleet.neighbours import EventRow, Span
from cloud.fleet.payloads import Silence, SilenceReason

MIN_SILENCE_MS = 60_000
EVENT_KINDS = ("agent_started", "agent_stopping", "obd_lost")
# An event may carry a time shortly before the last sample or after the first new one.
_SLACK = timedelta(seconds=30)
_REASONS: tuple[str, ...] = get_args(SilenceReason)


def silences(spans: Sequence[Span], events: Sequence[EventRow], now: datetime) -> list[Silence]:
    """Silences of one device, newest first. `spans` and `events` are in the order of time."""
    out: list[Silence] = []
    for before, after in pairwise(spans):
        start, end = _utc(before.last_ms), _utc(after.first_ms)
        out.append(Silence(start, end, _reason(events, start, end)))
    if spans and now - _utc(spans[-1].last_ms) > timedelta(milliseconds=MIN_SILENCE_MS):
        start = _utc(spans[-1].last_ms)
        out.append(Silence(start, None, _reason(events, start, None)))
    out.reverse()
    return out


def _reason(events: Iterable[EventRow], start: datetime, end: datetime | None) -> SilenceReason:
    near = [event for event in events if start - _SLACK <= event.ts and (end is None or event.ts <= end + _SLACK)]
    for kind in EVENT_KINDS:
        for event in near:
            if event.kind == kind and (word := _word(event)) is not None:
                return word
    return "unknown"


def _word(event: EventRow) -> SilenceReason | None:
    """The reason that an event gives, in our words."""
    said = str(event.data.get("previous_end") or event.data.get("reason") or "")
    if said in _REASONS:
        return said  # type: ignore[return-value]  # it is one of the literal's words
    return "shutdown" if event.kind == "agent_stopping" else None


def _utc(ts_ms: int) -> datetime:
    return datetime.fromtimestamp(ts_ms / 1000, UTC)
