"""The last values of every vehicle in memory, and their way to clients: newest state, never a queue.

Lives in the event loop; every method is called there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
import time
from typing import Literal

import msgspec
import structlog

from cloud.facts import Latest, LiveUpdate, Registry, VehicleStatus
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
    """One listener. What it has not been sent yet is a set of names for each vehicle, so it cannot fall behind."""

    def __init__(self, hub: "LiveHub", tenant_id: int, vehicle_ids: frozenset[int] | None) -> None:
        self._hub = hub
        self._tenant_id = tenant_id
        self._vehicle_ids = vehicle_ids
        self._dirty: dict[int, set[str]] = {}
        self._wake = asyncio.Event()
        self._is_first = True
        self._sent_at = 0.0

    def wants(self, update: LiveUpdate) -> bool:
        """Whether this client may and wants to see the vehicle."""
        return update.tenant_id == self._tenant_id and (
            self._vehicle_ids is None or update.vehicle_id in self._vehicle_ids
        )

    def note(self, update: LiveUpdate) -> None:
        """Remember that the vehicle has news."""
        dirty = self._dirty.get(update.vehicle_id)
        if dirty is None:
            self._dirty[update.vehicle_id] = set(update.values)
        else:
            dirty.update(update.values)
        self._wake.set()

    async def next(self) -> LiveMessage:
        """The next message: a snapshot first, then changes at most ten times a second, a ping after 15 s of silence."""
        if self._is_first:
            self._is_first = False
            self._dirty.clear()
            self._wake.clear()
            self._sent_at = time.monotonic()
            return self._hub.snapshot(self._tenant_id, self._vehicle_ids)
        try:
            await asyncio.wait_for(self._wake.wait(), PING_S)
        except TimeoutError:
            return LiveMessage("ping", self._hub.now_ms())
        early_s = CHANGES_S - (time.monotonic() - self._sent_at)
        if early_s > 0:
            await asyncio.sleep(early_s)
        dirty, self._dirty = self._dirty, {}
        self._wake.clear()
        self._sent_at = time.monotonic()
        return LiveMessage("changes", self._hub.now_ms(), self._hub.vehicles(dirty))


class LiveHub:
    """Holds the state and the clients. `publish(subject, data)` sends a command down to a device."""

    def __init__(
        self,
        registry: Registry,
        publish: Callable[[str, bytes], Awaitable[None]],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._registry = registry
        self._publish = publish
        self.now_ms = now_ms
        self._latest: dict[int, Latest] = {}
        self._clients: set[LiveClient] = set()
        self._leases: dict[int, tuple[float, float]] = {}
        self._last_number = 0

    def load(self, updates: Iterable[LiveUpdate]) -> None:
        """Take over the last values that the store has."""
        for update in updates:
            self._latest[update.vehicle_id] = Latest(update)

    def apply(self, updates: Sequence[LiveUpdate]) -> None:
        """Take in what new frames brought and wake the clients that want it."""
        for update in updates:
            latest = self._latest.get(update.vehicle_id)
            if latest is None:
                self._latest[update.vehicle_id] = Latest(update)
            elif not latest.apply(update):
                continue
            for client in self._clients:
                if client.wants(update):
                    client.note(update)

    def latest(self, vehicle_id: int) -> Latest | None:
        """The newest values of a vehicle, None when it was never heard of."""
        return self._latest.get(vehicle_id)

    def all_latest(self, tenant_id: int) -> list[Latest]:
        """The newest values of every vehicle of a tenant."""
        return [latest for latest in self._latest.values() if latest.tenant_id == tenant_id]

    def status(self, vehicle_id: int) -> VehicleStatus:
        """What a vehicle does now."""
        latest = self._latest.get(vehicle_id)
        return "unknown" if latest is None else status_of(latest, self.now_ms())

    def snapshot(self, tenant_id: int, vehicle_ids: frozenset[int] | None) -> LiveMessage:
        """Everything a client may and wants to see."""
        now_ms = self.now_ms()
        vehicles = [
            _vehicle(latest, latest.values, now_ms)
            for latest in self._latest.values()
            if latest.tenant_id == tenant_id and (vehicle_ids is None or latest.vehicle_id in vehicle_ids)
        ]
        return LiveMessage("snapshot", now_ms, vehicles)

    def vehicles(self, changed: dict[int, set[str]]) -> list[LiveVehicle]:
        """The named values of some vehicles, as they are now."""
        now_ms = self.now_ms()
        return [_vehicle(self._latest[vehicle_id], names, now_ms) for vehicle_id, names in changed.items()]

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

    async def run(self) -> None:
        """Renew the leases at the devices while browsers hold them. Runs until cancelled."""
        while True:
            await asyncio.sleep(1.0)
            await self._renew()

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
            # Milliseconds of UTC rise strictly for each device without a table, also over a restart.
            self._last_number = max(self._last_number + 1, now_ms)
            command = Command(self._last_number, "watch", now_ms + lease_s * 1000, {"lease_s": lease_s})
            await self._publish(subjects.down(device.tenant, device.name), encode_down(command))
            log.debug("watch_sent", vehicle_id=vehicle_id, lease_s=lease_s)


def _vehicle(latest: Latest, names: Iterable[str], now_ms: int) -> LiveVehicle:
    values = latest.values
    speed = values.get("speed_kmh") or values.get("gps_speed_kmh")
    return LiveVehicle(
        latest.vehicle_id,
        status_of(latest, now_ms),
        latest.ts_ms,
        _value(values, "lat_deg"),
        _value(values, "lon_deg"),
        _value(values, "heading_deg"),
        None if speed is None else speed[0],
        {name: values[name][0] for name in names},
    )


def _value(values: dict[str, tuple[float, int]], name: str) -> float | None:
    read = values.get(name)
    return None if read is None else read[0]
