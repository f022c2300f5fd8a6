"""Reading what clients write: instants, time ranges, signal names, page cursors. Wrong input says what was expected."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
import binascii
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from cloud.http.problem import InvalidInput
from sync_protocol.signals import Catalogue, Signal

MAX_SIGNALS = 24
_OLDEST = datetime(1996, 1, 1, tzinfo=UTC)


class Span(NamedTuple):
    """A time range, `start` included, `end` not."""

    start: datetime
    end: datetime


def instant(path: str, text: str) -> datetime:
    """An ISO 8601 instant with its zone."""
    expected = "an instant such as 2026-03-01T12:00:00Z"
    try:
        value = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError:
        raise InvalidInput(path, expected, text) from None
    if value.tzinfo is None:
        raise InvalidInput(path, f"{expected}, with its zone", text)
    return value.astimezone(UTC)


def span(start: str | None, end: str | None, *, now: datetime, default: timedelta) -> Span:
    """The range `from`..`to`; without `to` up to now, without `from` the last `default` before `to`."""
    until = now if end is None else instant("to", end)
    since = max(_OLDEST, until - default) if start is None else instant("from", start)
    if since >= until:
        raise InvalidInput("from", "an instant before `to`", start)
    return Span(since, until)


def signals(catalogue: Catalogue, text: str) -> list[Signal]:
    """Signals of a comma-separated list, in its order, each once."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise InvalidInput("signals", "names of the signal catalogue, separated by commas", text)
    if len(names) > MAX_SIGNALS:
        raise InvalidInput("signals", f"at most {MAX_SIGNALS} names", str(len(names)))
    found: list[Signal] = []
    for name in names:
        signal = catalogue.by_name.get(name)
        if signal is None:
            near = get_close_matches(name, catalogue.by_name, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]}?" if near else "; /api/v1/signals lists them"
            raise InvalidInput("signals", f"names of the signal catalogue{hint}", name)
        found.append(signal)
    return found


MOST = 2**63 - 1
"""The largest number that a database holds."""
Whole = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]


class PageKey(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of named things ended: the name of its last row, and its number to break ties."""

    key: str
    number: Whole


class EventKey(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of events ended: time in microseconds, then the place in the device's frames."""

    ts_us: Whole
    stream_no: Whole
    seq: Whole
    ordinal: Whole


K = TypeVar("K", PageKey, EventKey)


def write_cursor(key: PageKey | EventKey) -> str:
    """An opaque cursor for `next_cursor`."""
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(text: str | None, kind: type[K]) -> K | None:
    """Inverse of `write_cursor`; None for the first page."""
    if text is None:
        return None
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise InvalidInput("cursor", "a next_cursor of an earlier page", text) from None
