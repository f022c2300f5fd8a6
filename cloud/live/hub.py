"""The last values of every vehicle in memory, and their way to clients: newest state, never a queue.

Lives in the event loop; every method is called there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
import time
from typing import Literal

import msgspec
import structlog

from cloud.facts import LiveUpdate, Registry, VehicleStatus
from cloud.latest import Latest, LatestTable, holds_ms, signal_names
from cloud.live.status import status_of
from sync_protocol import subjects
from sync_protocol.errors import NotFound
from sync_protocol.messages import Command, encode_down

log = structlog.get_logger()

PING_S = 15.0
CHANGES_S = 0.1
LEASE_S = 60
_RENEW_S = 20.0


class LiveVehicle(msgspec.Struct):
    """One vehicle as clients see it. `values` are all in a snapshot, the changed ones in changes."""

    id: int
    status: VehicleStatus
    ts_ms: int
    lat_deg: float | None
    lon_deg: float | None
    heading_deg: float | None
    speed_kmh: float | None
    values: dict[str, float]


class LiveMessage(msgspec.Struct, omit_defaults=True):
    """What a client is sent; `at_ms` is when it was made."""

    type: Literal["snapshot", "changes", "ping"]
    at_ms: int = 0
    vehicles: list[LiveVehicle] = []


class LiveClient:
    """One listener. What it has not been sent yet is a set of vehicles, so it cannot fall behind."""

    def __init__(self, hub: "LiveHub", tenant_id: int, vehicle_ids: frozenset[int] | None) -> None:
        self._hub = hub
        self._tenant_id = tenant_id
        self._vehicle_ids = vehicle_ids
        self._dirty: set[int] = set()
        self._wake = asyncio.Event()
        self._version = -1
        self._sent_at = 0.0

    def note(self, vehicle_ids: Sequence[int]) -> None:
        """Remember which vehicles have news, if this client may and wants to see them."""
        table, wanted = self._hub.table, self._vehicle_ids
        news = vehicle_ids if wanted is None else wanted.intersection(vehicle_ids)
        self._dirty.update(v for v in news if table.tenant(v) == self._tenant_id)
        if self._dirty:
            self._wake.set()

    async def next(self) -> LiveMessage:
        """The next message: a snapshot first, then changes at most ten times a second, a ping after 15 s of silence."""
        if self._version < 0:
            return self._sent("snapshot", self._hub.seen(self._tenant_id, self._vehicle_ids), 0)
        try:
            await asyncio.wait_for(self._wake.wait(), PING_S)
        except TimeoutError:
            return LiveMessage("ping", self._hub.now_ms())
        early_s = CHANGES_S - (time.monotonic() - self._sent_at)
        if early_s > 0:
            await asyncio.sleep(early_s)
        return self._sent("changes", sorted(self._dirty), self._version)

    def _sent(self, kind: Literal["snapshot", "changes"], vehicle_ids: Sequence[int], since: int) -> LiveMessage:
        self._dirty.clear()
        self._wake.clear()
        self._version = self._hub.table.version
        self._sent_at = time.monotonic()
        now_ms = self._hub.now_ms()
        return LiveMessage(kind, now_ms, [_vehicle(self._hub.table, v, since, now_ms) for v in vehicle_ids])


class LiveHub:
    """Holds the state and the clients. `publish(subject, data)` sends a command down to a device; False: not now."""

    def __init__(
        self,
        registry: Registry,
        publish: Callable[[str, bytes], Awaitable[bool]],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._registry = registry
        self._publish = publish
        self.now_ms = now_ms
        self.table = LatestTable()
        self._clients: set[LiveClient] = set()
        self._leases: dict[int, tuple[float, float]] = {}
        self._last_number = 0

    def load(self, update: LiveUpdate) -> None:
        """Take over the last values that the store has."""
        self.table.apply(update)

    def apply(self, update: LiveUpdate) -> None:
        """Take in what new frames brought and wake the clients that want it."""
        fresh = self.table.apply(update)
        if fresh:
            for client in self._clients:
                client.note(fresh)

    def latest(self, vehicle_id: int) -> Latest | None:
        """The newest values of a vehicle, None when it was never heard of."""
        return self.table.get(vehicle_id)

    def status(self, vehicle_id: int) -> VehicleStatus:
        """What a vehicle does now."""
        return status_of(self.table, vehicle_id, self.now_ms()) if vehicle_id in self.table else "unknown"

    def seen(self, tenant_id: int, vehicle_ids: frozenset[int] | None = None) -> list[int]:
        """The vehicles of a tenant that were ever heard of, narrowed to some."""
        wanted = self.table if vehicle_ids is None else vehicle_ids
        return sorted(v for v in wanted if v in self.table and self.table.tenant(v) == tenant_id)

    @contextmanager
    def client(self, tenant_id: int, vehicle_ids: frozenset[int] | None = None) -> Iterator[LiveClient]:
        """A client for as long as the block lasts."""
        client = LiveClient(self, tenant_id, vehicle_ids)
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.discard(client)

    async def watch(self, vehicle_id: int) -> int:
        """Ask the vehicle's device for frames of 1 s. Returns the seconds the lease lasts; renew it before it ends.

        `NotFound` when no device sits in the vehicle.
        """
        if self._registry.device_of(vehicle_id) is None:
            raise NotFound(f"no device sits in vehicle {vehicle_id}")
        now = time.monotonic()
        _, sent = self._leases.get(vehicle_id, (0.0, -_RENEW_S))
        self._leases[vehicle_id] = (now + LEASE_S, sent)
        await self._renew()
        return LEASE_S

    def next_number(self) -> int:
        """For a command. Milliseconds of UTC rise strictly for each device without a table, also over a restart."""
        self._last_number = max(self._last_number + 1, self.now_ms())
        return self._last_number

    async def run(self) -> None:
        """Renew the leases at the devices while browsers hold them, and tell what is over. Runs until cancelled."""
        checked_ms = self.now_ms()
        while True:
            await asyncio.sleep(1.0)
            await self._renew()
            self.end_speeds(checked_ms, checked_ms := self.now_ms())

    def end_speeds(self, after_ms: int, up_to_ms: int) -> None:
        """Wake the clients of the vehicles whose speed stopped being true in between: no frame will tell them."""
        over = {v for at, holds in _SPEEDS for v in self.table.read_between(at, after_ms - holds, up_to_ms - holds)}
        if over:
            for client in self._clients:
                client.note(list(over))

    async def _renew(self) -> None:
        now = time.monotonic()
        for vehicle_id, (until, sent) in list(self._leases.items()):
            if until <= now:
                del self._leases[vehicle_id]
                continue
            if now - sent < _RENEW_S:
                continue
            device = self._registry.device_of(vehicle_id)
            if device is None:
                continue
            self._leases[vehicle_id] = (until, now)
            now_ms = self.now_ms()
            lease_s = min(LEASE_S, round(until - now))
            command = Command(self.next_number(), "watch", now_ms + lease_s * 1000, {"lease_s": lease_s})
            if not await self._publish(subjects.down(device.tenant, device.name), encode_down(command)):
                self._leases[vehicle_id] = (until, sent)
                continue
            log.debug("watch_sent", vehicle_id=vehicle_id, lease_s=lease_s)


_LAT, _LON, _HEADING = (signal_names().index(name) for name in ("lat_deg", "lon_deg", "heading_deg"))
_SPEEDS = tuple((signal_names().index(name), holds_ms(name)) for name in ("speed_kmh", "gps_speed_kmh"))


def _vehicle(table: LatestTable, vehicle_id: int, since: int, now_ms: int) -> LiveVehicle:
    return LiveVehicle(
        vehicle_id,
        status_of(table, vehicle_id, now_ms),
        table.ts_ms(vehicle_id),
        _value(table, vehicle_id, _LAT),
        _value(table, vehicle_id, _LON),
        _value(table, vehicle_id, _HEADING),
        _speed(table, vehicle_id, now_ms),
        table.values_since(vehicle_id, since),
    )


def _speed(table: LatestTable, vehicle_id: int, now_ms: int) -> float | None:
    """The engine's word, else the satellites', while it is true: a parked vehicle has none, a dead bus hides none."""
    for signal_id, holds in _SPEEDS:
        read = table.value(vehicle_id, signal_id)
        if read is not None and now_ms - read[1] <= holds:
            return read[0]
    return None


def _value(table: LatestTable, vehicle_id: int, signal_id: int) -> float | None:
    read = table.value(vehicle_id, signal_id)
    return None if read is None else read[0]
