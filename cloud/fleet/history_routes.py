"""HTTP: signals over time, their extremes, the track, events."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from math import ceil
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from cloud.fleet.payloads import EventPage, Extreme, Extremes, History, SignalExtremes, Track, VehicleEvent
from cloud.fleet.routes import Cursor, From, Limit, To
from cloud.fleet.service import Fleet
from cloud.fleet.vehicles import utc
from cloud.http import parameters
from cloud.http.parameters import EventKey, read_cursor, span, write_cursor
from cloud.http.problem import PROBLEMS
from cloud.identity.policy import Action
from sync_protocol.signals import catalogue

SignalNames = Annotated[str, QueryParameter(description="Names of the catalogue, separated by commas")]
Points = Annotated[int, QueryParameter(ge=2, le=10_000, description="About so many points a signal")]
_EXTREMES_POINTS = 2_000  # of a series: looked through on the event loop, so not the most that there could be
_TIER_S = {"raw": 0, "1m": 60, "1h": 3600}
Kinds = Annotated[str | None, QueryParameter(max_length=400, description="Kinds, separated by commas; without: all")]


@get("/vehicles/{vehicle_id:int}/history", action=Action.READ_HISTORY, responses=PROBLEMS, tags=["history"])
async def get_history(
    fleet: NamedDependency[Fleet],
    vehicle_id: FromPath[int],
    signals: SignalNames,
    from_: From = None,
    to: To = None,
    points: Points = 800,
) -> History:
    """Signals over a range, downsampled so that peaks survive; without a range the last hour."""
    wanted = parameters.signals(catalogue(), signals)
    asked = span(from_, to, now=fleet.clock(), default=timedelta(hours=1))
    fleet.require(vehicle_id)
    return await fleet.telemetry.history(vehicle_id, wanted, asked.start, asked.end, points)


@get("/vehicles/{vehicle_id:int}/extremes", action=Action.READ_HISTORY, responses=PROBLEMS, tags=["history"])
async def get_extremes(
    fleet: NamedDependency[Fleet],
    vehicle_id: FromPath[int],
    signals: SignalNames,
    from_: From = None,
    to: To = None,
) -> Extremes:
    """The lowest and the highest value of signals in a range, and when; without a range the last day."""
    wanted = parameters.signals(catalogue(), signals)
    asked = span(from_, to, now=fleet.clock(), default=timedelta(days=1))
    fleet.require(vehicle_id)
    found = await fleet.telemetry.history(vehicle_id, wanted, asked.start, asked.end, _EXTREMES_POINTS)
    items: list[SignalExtremes] = []
    within_s = _TIER_S[found.tier]
    for series in found.series:
        lowest = _extreme(min, series.ts_ms, series.min or series.value)
        highest = _extreme(max, series.ts_ms, series.max or series.value)
        items.append(SignalExtremes(series.signal, series.unit, lowest, highest))
        if series.min is not None:
            within_s = max(within_s, ceil((asked.end - asked.start).total_seconds() / _EXTREMES_POINTS))
    return Extremes(asked.start, asked.end, within_s, items)


def _extreme(
    choose: Callable[[Iterable[float]], float], ts_ms: list[int], values: list[float | None]
) -> Extreme | None:
    read = [value for value in values if value is not None]
    if not read:
        return None
    found = choose(read)
    return Extreme(found, utc(ts_ms[values.index(found)]))


@get("/vehicles/{vehicle_id:int}/track", action=Action.READ_HISTORY, responses=PROBLEMS, tags=["history"])
async def get_track(
    fleet: NamedDependency[Fleet],
    vehicle_id: FromPath[int],
    from_: From = None,
    to: To = None,
    points: Points = 2000,
) -> Track:
    """Where the vehicle was; without a range the last day."""
    asked = span(from_, to, now=fleet.clock(), default=timedelta(days=1))
    fleet.require(vehicle_id)
    return await fleet.telemetry.track(vehicle_id, asked.start, asked.end, points)


@get("/vehicles/{vehicle_id:int}/events", action=Action.READ_HISTORY, responses=PROBLEMS, tags=["history"])
async def list_events(
    fleet: NamedDependency[Fleet],
    vehicle_id: FromPath[int],
    from_: From = None,
    to: To = None,
    kind: Kinds = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> EventPage:
    """What happened, newest first; without a range the last 30 days."""
    asked = span(from_, to, now=fleet.clock(), default=timedelta(days=30))
    before = read_cursor(cursor, EventKey)
    kinds = [word.strip() for word in (kind or "").split(",") if word.strip()]
    fleet.require(vehicle_id)
    rows = await fleet.telemetry.events(vehicle_id, asked.start, asked.end, kinds, limit + 1, before)
    items: list[VehicleEvent] = []
    for row in rows[:limit]:
        device = fleet.registry.device_by_id(row.device_id)
        items.append(VehicleEvent(row.ts, row.kind, row.data, device.name if device else "", row.seq))
    if len(rows) <= limit:
        return EventPage(items, None)
    last = rows[limit - 1]
    ts_us = round(last.ts.timestamp() * 1_000_000)
    return EventPage(items, write_cursor(EventKey(ts_us, last.stream_no, last.seq, last.ordinal)))


ROUTES = [get_history, get_extremes, get_track, list_events]
