"""Bytes by kind: of this connection, of today, and of the SIM's month, kept over restarts.

Payload is counted by kind where it is sent or received; what the socket says beyond that (NATS, TLS, TCP, IP) is the
kind `overhead`. So the kinds add up to the socket's bytes.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
import math
from typing import Literal, get_args

import msgspec

from edge.uplink.tcp_info import WireBytes

Kind = Literal["live", "event", "backlog", "again", "pulled", "hello", "ack", "answer", "command", "overhead"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DAY_MS = 86_400_000
_DAYS_KEPT = 31
_HALF_LIFE_DAYS = 7.0
_LEAST_DAYS = 0.25
_EPOCH = date(1970, 1, 1)


class Bytes(msgspec.Struct, array_like=True):
    """Both ways."""

    up: int = 0
    down: int = 0


class _Kept(msgspec.Struct):
    """Days are numbered from 1970. `month` and `day` 0: no clock has told yet. `days`: bytes of each day."""

    month: int = 0
    day: int = 0
    by_month: dict[str, Bytes] = {}
    by_day: dict[str, Bytes] = {}
    days: dict[int, int] = {}
    is_lifted: bool = False
    told: list[str] = []


class Traffic:
    """Counts bytes. `budget_day` is the day of the month on which the SIM's month begins, 1..28."""

    def __init__(self, budget_day: int, kept: str | None = None) -> None:
        """`kept` is what `to_keep` gave before the restart; what cannot be read counts as nothing."""
        self._budget_day = budget_day
        try:
            self._kept = msgspec.json.decode(kept, type=_Kept) if kept else _Kept()
        except msgspec.DecodeError:
            self._kept = _Kept()
        self.connection: dict[str, Bytes] = {}
        self._wire = WireBytes(0, 0)
        self._counted = Bytes()
        self._utc_ms: int | None = None

    def to_keep(self) -> str:
        """Everything that must outlive a restart."""
        return msgspec.json.encode(self._kept).decode()

    def connected(self) -> None:
        """A new connection: its counts begin at nothing."""
        self.connection = {}
        self._wire = WireBytes(0, 0)
        self._counted = Bytes()

    def count(self, kind: Kind, up: int = 0, down: int = 0) -> None:
        """Bytes of payload."""
        self._counted.up += up
        self._counted.down += down
        self._add(kind, up, down)

    def measured(self, wire: WireBytes | None) -> None:
        """What the socket has cost so far.

        Payload that is not on the wire yet makes the overhead come later; what the kernel had before it was counted
        here was taken for overhead, and is given back.
        """
        if wire is None:
            return
        up = wire.up - self._wire.up - self._counted.up
        down = wire.down - self._wire.down - self._counted.down
        overhead = self.connection.get("overhead", Bytes())
        if overhead.up + up < 0 or overhead.down + down < 0:
            return
        self._wire = wire
        self._counted = Bytes()
        self._add("overhead", up, down)

    def _add(self, kind: Kind, up: int, down: int) -> None:
        for counts in (self.connection, self._kept.by_day, self._kept.by_month):
            bytes_ = counts.setdefault(kind, Bytes())
            bytes_.up += up
            bytes_.down += down
        self._kept.days[self._kept.day] = self._kept.days.get(self._kept.day, 0) + up + down

    def now(self, utc_ms: int) -> bool:
        """It is surely this UTC. Returns whether a new month has begun.

        Neither day nor month ever goes back, so that a clock which jumps to and fro starts no month twice.
        """
        self._utc_ms = utc_ms
        kept, day = self._kept, utc_ms // DAY_MS
        if day > kept.day:
            if not kept.day and 0 in kept.days:
                kept.days[day] = kept.days.pop(0)  # counted before the first clock told
            else:
                kept.by_day = {}
            kept.day = day
            for old in [number for number in kept.days if number <= day - _DAYS_KEPT]:
                del kept.days[old]
        month = _month_start(day, self._budget_day)
        if month <= kept.month:
            return False
        is_first, kept.month = not kept.month, month
        if not is_first:
            kept.by_month, kept.is_lifted, kept.told = {}, False, []
        return not is_first

    @property
    def month(self) -> Mapping[str, Bytes]:
        """Bytes by kind since the month began."""
        return self._kept.by_month

    @property
    def today(self) -> Mapping[str, Bytes]:
        """Bytes by kind of this UTC day."""
        return self._kept.by_day

    @property
    def is_lifted(self) -> bool:
        """Whether a person has lifted the budget for this month."""
        return self._kept.is_lifted

    def lift(self) -> None:
        """The budget does not count until the next month begins."""
        self._kept.is_lifted = True

    def tell_once(self, what: str) -> bool:
        """Whether this is to be told; once a month."""
        if what in self._kept.told:
            return False
        self._kept.told.append(what)
        return True

    def used_bytes(self) -> int:
        """Both ways, since the month began."""
        return sum(b.up + b.down for b in self._kept.by_month.values())

    def forecast_bytes(self) -> int | None:
        """What the month will come to: what is used, and each day left as the last days were, recent ones more.

        None until the clock is known and a quarter of a day has been seen.
        """
        kept = self._kept
        if self._utc_ms is None or not kept.days or not kept.day:
            return None
        today = (self._utc_ms % DAY_MS) / DAY_MS if self._utc_ms // DAY_MS == kept.day else 1.0
        first = min(kept.days)
        weights = {day: math.exp2((day - kept.day) / _HALF_LIFE_DAYS) for day in range(first, kept.day + 1)}
        seen = sum(weight * (today if day == kept.day else 1.0) for day, weight in weights.items())
        if (kept.day - first) + today < _LEAST_DAYS:
            return None
        a_day = sum(weight * kept.days.get(day, 0) for day, weight in weights.items()) / seen
        left = _month_start(kept.month + 31, self._budget_day) - kept.day - today
        return round(self.used_bytes() + a_day * max(0.0, left))

    def month_began(self) -> datetime | None:
        """When the month began; None before any clock has told."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=self._kept.month) if self._kept.month else None


def _month_start(day: int, budget_day: int) -> int:
    """The day on which the SIM's month began that a day belongs to."""
    when = _EPOCH + timedelta(days=day)
    start = when.replace(day=budget_day)
    if start > when:
        start = (when.replace(day=1) - timedelta(days=1)).replace(day=budget_day)
    return (start - _EPOCH).days
