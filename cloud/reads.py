"""The questions of the HTTP side to telemetry and live, bound to one tenant: the one place where they are scoped.

The fleet knows these as the Protocols of `cloud/fleet/neighbours.py`, so that no stage imports another.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
import time
from typing import Any, Generic, TypeVar

import duckdb
import msgspec

from cloud.facts import VehicleStatus
from cloud.fleet.neighbours import DeviceAccount, DeviceBook, EventRow, FleetTotals, Span, VehicleNow
from cloud.fleet.payloads import (
    FrameTotals,
    History,
    LimitHit,
    LostFrames,
    PlacedBoot,
    Series,
    StreamLedgerView,
    Track,
)
from cloud.http.parameters import EventKey
from cloud.live.hub import LiveHub
from cloud.telemetry import history as past
from cloud.telemetry import ledger_view
from cloud.telemetry import spans as sampled
from cloud.telemetry.store import TelemetryStore
from sync_protocol.signals import Signal, catalogue

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What pages poll and what costs a scan is asked of the store once for all who ask in this time.
ACCOUNTS_KEPT_S = (1.0, 10.0)
TOTALS_KEPT_S = (5.0, 20.0)


class Kept(Generic[T]):
    """An answer that many pages poll: for `fresh_s` given again; up to `kept_s` given while a newer one is made."""

    def __init__(
        self,
        ask: Callable[[], Coroutine[Any, Any, T]],
        fresh_s: float,
        kept_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._fresh_s = fresh_s
        self._kept_s = kept_s
        self._clock = clock
        self._asking: asyncio.Task[T] | None = None
        self._value: tuple[float, T] | None = None

    async def get(self) -> T:
        """The answer; waits for one only when the last is older than `kept_s`."""
        known, now = self._value, self._clock()
        if known is not None and now - known[0] < self._fresh_s:
            return known[1]
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(partial(self._answered, now))
        if known is not None and now - known[0] < self._kept_s:
            return known[1]
        return await asyncio.shield(self._asking)

    def _answered(self, asked_at: float, task: asyncio.Task[T]) -> None:
        self._asking = None
        # A fault belongs to whoever waits; without anybody the next one asks again.
        if not task.cancelled() and task.exception() is None:
            self._value = asked_at, task.result()


class TelemetryReads:
    """`cloud.fleet.neighbours.Telemetry` over the embedded store."""

    def __init__(self, store: TelemetryStore, tenant_id: int) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._accounts = Kept(partial(store.read, lambda cursor: _accounts(cursor, tenant_id)), *ACCOUNTS_KEPT_S)
        self._totals = Kept(partial(store.read, lambda cursor: _totals(cursor, tenant_id)), *TOTALS_KEPT_S)

    async def history(
        self, vehicle_id: int, signals: Sequence[Signal], start: datetime, end: datetime, points: int
    ) -> History:
        """Signals over a range, downsampled to about `points` so that the shape survives."""
        names = [signal.name for signal in signals]
        found = await self._store.read(
            lambda cursor: past.history(cursor, self._tenant_id, vehicle_id, names, _us(start), _us(end), points)
        )
        series = [Series(s.signal, s.unit, s.ts_ms, s.value, s.min, s.max) for s in found.series]
        return History(start, end, found.tier, series)

    async def track(self, vehicle_id: int, start: datetime, end: datetime, points: int) -> Track:
        """Where a vehicle was."""
        found = await self._store.read(
            lambda cursor: past.track(cursor, self._tenant_id, vehicle_id, _us(start), _us(end), points)
        )
        return Track(found.ts_ms, found.lat_deg, found.lon_deg, found.speed_kmh)

    async def events(
        self, vehicle_id: int, start: datetime, end: datetime, kinds: Sequence[str], limit: int, before: EventKey | None
    ) -> list[EventRow]:
        """Events of a vehicle, newest first, those that sort before a key."""
        key = None if before is None else (before.ts_us, before.stream_no, before.seq, before.ordinal)
        rows = await self._store.read(
            lambda cursor: past.events(
                cursor,
                self._tenant_id,
                vehicle_id,
                _us(start),
                _us(end),
                kinds=kinds or None,
                limit=limit,
                before=key,
            )
        )
        return [
            EventRow(
                _from_us(row.ts_us),
                row.kind,
                msgspec.json.decode(row.data),
                row.device_id,
                row.stream_no,
                row.seq,
                row.ordinal,
            )
            for row in rows
        ]

    async def accounts(self) -> Mapping[int, DeviceAccount]:
        """Every device's frames, added up."""
        return await self._accounts.get()

    async def ledger(self, device_id: int, kinds: Sequence[str], since: datetime) -> DeviceBook:
        """Every stream of a device, when it sampled, and its events of some kinds; in one turn of a reader."""
        values = [self._tenant_id, device_id, _naive(since), *kinds]

        def read(cursor: duckdb.DuckDBPyConnection) -> DeviceBook:
            streams = ledger_view.device_ledger(cursor, self._tenant_id, device_id)
            found = sampled.spans(cursor, self._tenant_id, device_id, _us(since) // 1000)
            return DeviceBook(
                [_stream(stream) for stream in reversed(streams)],
                [Span(*span) for span in found],
                _device_events(cursor, values),
                [_limit(alert) for alert in ledger_view.alerts(cursor, self._tenant_id, device_id)],
                [_placed(boot) for boot in ledger_view.placed_boots(cursor, self._tenant_id, device_id)],
            )

        return await self._store.read(read)

    async def totals(self) -> FleetTotals:
        """All frames and samples."""
        return await self._totals.get()


class LiveReads:
    """`cloud.fleet.neighbours.Live` over the hub."""

    def __init__(self, hub: LiveHub, tenant_id: int) -> None:
        self._hub = hub
        self._tenant_id = tenant_id

    def now(self, vehicle_id: int) -> VehicleNow | None:
        """The newest values of a vehicle, None when it has never sent any."""
        latest = self._hub.table.get(vehicle_id) if self._is_seen(vehicle_id) else None
        return None if latest is None else VehicleNow(latest.ts_ms, latest.values)

    def newest(self, vehicle_ids: Sequence[int], names: Sequence[str]) -> Mapping[int, VehicleNow]:
        """The newest values of some signals, of those of the vehicles that have ever sent any."""
        seen = [number for number in vehicle_ids if self._is_seen(number)]
        heard, values, times = self._hub.table.columns(seen, [catalogue().by_name[name].id for name in names])
        rows = zip(seen, heard.tolist(), values.tolist(), times.tolist(), strict=True)
        return {
            number: VehicleNow(
                ts_ms, {name: (v, at) for name, v, at in zip(names, its_values, its_times, strict=True) if at}
            )
            for number, ts_ms, its_values, its_times in rows
        }

    def status(self, vehicle_id: int) -> VehicleStatus:
        """What a vehicle does now."""
        return self._hub.status(vehicle_id) if self._is_seen(vehicle_id) else "unknown"

    def _is_seen(self, vehicle_id: int) -> bool:
        table = self._hub.table
        return vehicle_id in table and table.tenant(vehicle_id) == self._tenant_id

    async def watch(self, vehicle_id: int) -> int:
        """Ask the vehicle for a frame a second; returns for how many seconds."""
        return await self._hub.watch(vehicle_id)


def _device_events(cursor: duckdb.DuckDBPyConnection, values: list[object]) -> list[EventRow]:
    rows = cursor.execute(
        "SELECT ts, kind, data, device_id, stream_no, seq, ordinal FROM events WHERE tenant_id = ? AND device_id = ?"  # noqa: S608  # names of the schema; values are bound
        f" AND ts >= ? AND kind IN ({', '.join('?' for _ in values[3:])}) ORDER BY ts, stream_no, seq, ordinal",
        values,
    ).fetchall()
    return [EventRow(ts.replace(tzinfo=UTC), kind, msgspec.json.decode(data), *rest) for ts, kind, data, *rest in rows]


def _accounts(cursor: duckdb.DuckDBPyConnection, tenant_id: int) -> dict[int, DeviceAccount]:
    seen = dict(
        cursor.execute(
            "SELECT device_id, max(last_seen) FROM streams WHERE tenant_id = ? GROUP BY device_id", [tenant_id]
        ).fetchall()
    )
    totals = ledger_view.totals(cursor, tenant_id)
    return {
        device_id: DeviceAccount(
            FrameTotals(total.stored, total.pending, total.lost, total.quarantined),
            _aware(seen.get(device_id)),
            total.is_forked,
        )
        for device_id, total in totals.items()
    }


def _totals(cursor: duckdb.DuckDBPyConnection, tenant_id: int) -> FleetTotals:
    cursor.execute("BEGIN")  # one snapshot: rows and ledger are compared
    try:
        counted = cursor.execute(
            "SELECT count(*), coalesce(sum(samples), 0) FROM frames WHERE tenant_id = ?", [tenant_id]
        ).fetchone()
        totals = ledger_view.totals(cursor, tenant_id).values()
    finally:
        cursor.execute("COMMIT")
    rows, samples = counted if counted is not None else (0, 0)
    stored = sum(total.stored for total in totals)
    frames = FrameTotals(
        stored,
        sum(total.pending for total in totals),
        sum(total.lost for total in totals),
        sum(total.quarantined for total in totals),
    )
    return FleetTotals(frames, int(samples), max(0, int(rows) - stored))


def _stream(view: ledger_view.StreamLedgerView) -> StreamLedgerView:
    return StreamLedgerView(
        stream_id=view.stream_id,
        is_active=view.is_active,
        first_seen=_from_us(view.first_seen_us),
        last_seen=_from_us(view.last_seen_us),
        last_seq=view.last_seq,
        boots=view.boots,
        stored=view.stored,
        pending=view.pending,
        lost=[LostFrames(gap.first, gap.last, gap.reason) for gap in view.lost],
        quarantined=view.quarantined,
        forked=view.forked,
    )


def _limit(view: ledger_view.AlertView) -> LimitHit:
    return LimitHit(view.kind, view.detail, _from_us(view.opened_us), _from_us(view.last_seen_us), view.times)


def _placed(boot: ledger_view.PlacedBoot) -> PlacedBoot:
    is_bounded = boot.uncertainty_ms < 1 << 40
    return PlacedBoot(
        boot.stream_id,
        boot.boot,
        _from_us(boot.from_ms * 1000),
        _from_us(boot.to_ms * 1000),
        boot.uncertainty_ms / 1000 if is_bounded else None,
    )


def _us(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(microseconds=1)


def _naive(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None)


def _aware(when: datetime | None) -> datetime | None:
    return None if when is None else when.replace(tzinfo=UTC)


def _from_us(ts_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts_us)
