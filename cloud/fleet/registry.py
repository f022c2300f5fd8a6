"""Who is who, answered from memory: devices, and which vehicle each sat in when. Writes through to the database."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock

from sqlalchemy import select
from sqlalchemy.orm import Session
import structlog

from cloud.config import RegistryConfig
from cloud.db.engine import Database
from cloud.facts import DeviceRef
from cloud.fleet.tables import Assignment, Device, Tenant, Vehicle
from sync_protocol.errors import Conflict, NotFound
from sync_protocol.messages import Hello
from sync_protocol.subjects import checked_id

# Older than any sample: a device that registers on sight has always sat in the vehicle it brings.
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
log = structlog.get_logger()


class FleetRegistry:
    """`cloud.facts.Registry` over the relational database.

    This process is the only writer of devices, vehicles and assignments, so memory is the truth once it is loaded.
    Every method may be called from any thread.
    """

    def __init__(self, db: Database, config: RegistryConfig, *, is_demo: bool) -> None:
        self._db = db
        self._is_demo = is_demo
        self._config = config
        self._lock = Lock()
        self._tenants: dict[str, int] = {}
        self._suspended: set[int] = set()
        self._by_name: dict[tuple[str, str], DeviceRef] = {}
        self._by_id: dict[int, DeviceRef] = {}
        self._removed: set[int] = set()
        self._vehicles: dict[int, int] = {}
        self._seats: dict[int, tuple[list[int], list[int | None]]] = {}
        self._sitting: dict[int, int] = {}
        self._heard: dict[int, tuple[str, str | None]] = {}

    def tenant_named(self, name: str) -> int | None:
        """The tenant of this name."""
        return self._tenants.get(name)

    def tenant_name(self, tenant_id: int) -> str:
        """The word of a tenant in NATS subjects."""
        return next(name for name, number in self._tenants.items() if number == tenant_id)

    def tenants(self) -> dict[str, int]:
        """All tenants: {name: id}."""
        return dict(self._tenants)

    def is_suspended(self, tenant_id: int) -> bool:
        """Whether people and keys of a tenant are refused; its devices go on."""
        return tenant_id in self._suspended

    def suspend(self, name: str, *, is_suspended: bool) -> int:
        """Suspend a tenant, or take that back. `NotFound` when there is none of this name. Returns its id."""
        tenant_id = self._tenants.get(name)
        if tenant_id is None:
            raise NotFound(f"There is no tenant {name!r}.")

        def write(session: Session) -> None:
            session.get_one(Tenant, tenant_id).suspended = datetime.now(UTC) if is_suspended else None

        with self._lock:
            self._db.write_sync(write)
            (self._suspended.add if is_suspended else self._suspended.discard)(tenant_id)
        log.warning("tenant_suspended" if is_suspended else "tenant_resumed", tenant=name, tenant_id=tenant_id)
        return tenant_id

    def add_tenant(self, name: str) -> int:
        """A new tenant. `Invalid` for a name that is no word of a subject, `Conflict` when it is taken."""
        checked_id(name, "tenant")
        with self._lock:
            if name in self._tenants:
                raise Conflict(f"there is a tenant {name!r} already")

            def write(session: Session) -> int:
                tenant = Tenant(name=name, created=datetime.now(UTC))
                session.add(tenant)
                session.flush()
                return tenant.id

            self._tenants[name] = tenant_id = self._db.write_sync(write)
        log.info("tenant_added", tenant=name, tenant_id=tenant_id)
        return tenant_id

    def load(self) -> None:
        """Read everything; in a demo make its tenant if it is not there. Call once, before any other method."""
        name = self._config.tenant

        def read(session: Session) -> None:
            if self._is_demo and session.scalar(select(Tenant).where(Tenant.name == name)) is None:
                session.add(Tenant(name=name, created=datetime.now(UTC)))
                session.flush()
            rows = session.scalars(select(Tenant)).all()
            tenants = {t.id: t.name for t in rows}
            self._suspended = {t.id for t in rows if t.suspended is not None}
            self._tenants = {name: number for number, name in tenants.items()}
            for vehicle in session.execute(select(Vehicle.id, Vehicle.tenant_id)):
                self._vehicles[vehicle.id] = vehicle.tenant_id
            for device in session.scalars(select(Device)):
                self._remember(DeviceRef(device.id, device.tenant_id, tenants[device.tenant_id], device.name))
                if device.removed is not None:
                    self._removed.add(device.id)
            for seat in session.scalars(select(Assignment).order_by(Assignment.device_id, Assignment.valid_from)):
                self._seat(seat.device_id, seat.valid_from, seat.vehicle_id)

        self._db.write_sync(read)
        log.info("registry_loaded", tenants=len(self._tenants), devices=len(self._by_id))

    def device(self, tenant: str, name: str) -> DeviceRef | None:
        """The device behind a subject; in a demo one of the demo tenant is registered on sight."""
        if (tenant, name) not in self._by_name:
            self.meet([(tenant, name)])
        return self._by_name.get((tenant, name))

    def meet(self, names: Sequence[tuple[str, str]]) -> None:
        """Register all of these (tenant, device) that are new, in one transaction; only in a demo."""
        if not self._is_demo:
            return
        with self._lock:
            asked = dict.fromkeys(name for tenant, name in names if tenant == self._config.tenant)
            new = [name for name in asked if (self._config.tenant, name) not in self._by_name]
            if new:
                self._register(self._config.tenant, new)

    def _register(self, tenant: str, names: Sequence[str]) -> None:
        tenant_id = self._tenants[tenant]

        def write(session: Session) -> list[tuple[int, int]]:
            now = datetime.now(UTC)
            devices = [Device(tenant_id=tenant_id, name=name, created=now) for name in names]
            vehicles = [Vehicle(tenant_id=tenant_id, name=name, created=now) for name in names]
            session.add_all([*devices, *vehicles])
            session.flush()
            ids = [(device.id, vehicle.id) for device, vehicle in zip(devices, vehicles, strict=True)]
            session.add_all(
                Assignment(tenant_id=tenant_id, device_id=device_id, vehicle_id=vehicle_id, valid_from=ALWAYS)
                for device_id, vehicle_id in ids
            )
            return ids

        for name, (device_id, vehicle_id) in zip(names, self._db.write_sync(write), strict=True):
            self._vehicles[vehicle_id] = tenant_id
            self._seat(device_id, ALWAYS, vehicle_id)
            self._remember(DeviceRef(device_id, tenant_id, tenant, name))
            log.info("device_registered", device=name, device_id=device_id, vehicle_id=vehicle_id)

    def add_device(
        self, tenant_id: int, wish: str, vehicle_id: int | None, also: Callable[[Session, int], None]
    ) -> DeviceRef:
        """A new device, named as wished or with a number behind. `also` writes in the same transaction, given its id.

        It takes the place of the device that sits in `vehicle_id` now; without one it brings a new vehicle.
        """
        tenant, now = self.tenant_name(tenant_id), datetime.now(UTC)
        with self._lock:
            name = self._free_name(tenant, wish)
            before = None if vehicle_id is None else self._sitting.get(vehicle_id)
            left_at = now if before is None else self._after_last_change(before, now)

            def write(session: Session) -> tuple[int, int]:
                device = Device(tenant_id=tenant_id, name=name, created=now)
                vehicle = None if vehicle_id is not None else Vehicle(tenant_id=tenant_id, name=name, created=now)
                session.add_all([device] if vehicle is None else [device, vehicle])
                session.flush()
                seat = vehicle_id if vehicle is None else vehicle.id
                assert seat is not None
                if before is not None:
                    left = Assignment(tenant_id=tenant_id, device_id=before, vehicle_id=None, valid_from=left_at)
                    session.add(left)
                # It has sat nowhere else, so whatever it has measured it measured here.
                session.add(Assignment(tenant_id=tenant_id, device_id=device.id, vehicle_id=seat, valid_from=ALWAYS))
                also(session, device.id)
                return device.id, seat

            device_id, seat = self._db.write_sync(write)
            self._vehicles[seat] = tenant_id
            if before is not None:
                self._seat(before, left_at, None)
            self._seat(device_id, ALWAYS, seat)
            ref = DeviceRef(device_id, tenant_id, tenant, name)
            self._remember(ref)
        log.info("device_registered", device=name, device_id=device_id, vehicle_id=seat)
        return ref

    def remove_device(self, device_id: int, now: datetime) -> None:
        """From now on the device sits in no vehicle and is on no list; what it measured stays."""
        ref = self._by_id[device_id]
        with self._lock:
            is_seated = self._seats[device_id][1][-1] is not None
            left_at = self._after_last_change(device_id, now)

            def write(session: Session) -> None:
                row = session.get(Device, device_id)
                assert row is not None, "memory is the truth"
                row.removed = now
                if is_seated:
                    left = Assignment(tenant_id=ref.tenant_id, device_id=device_id, vehicle_id=None, valid_from=left_at)
                    session.add(left)

            self._db.write_sync(write)
            self._removed.add(device_id)
            if is_seated:
                self._seat(device_id, left_at, None)
        log.info("device_removed", device=ref.name, device_id=device_id)

    def _after_last_change(self, device_id: int, now: datetime) -> datetime:
        """Now, or just after the device's last change of vehicle where the clock has gone back behind it."""
        return max(now, ALWAYS + timedelta(microseconds=self._seats[device_id][0][-1] + 1))

    def _free_name(self, tenant: str, wish: str) -> str:
        """A name that no device of the tenant has or had."""
        name, number = wish, 1
        while (tenant, name) in self._by_name:
            number += 1
            name = f"{wish}-{number}"
        return name

    def device_by_id(self, device_id: int) -> DeviceRef | None:
        """The device with this id."""
        return self._by_id.get(device_id)

    def device_named(self, tenant_id: int, name: str) -> DeviceRef | None:
        """A device of a tenant by its name, unless it was removed; never registers one."""
        tenant = next((word for word, number in self._tenants.items() if number == tenant_id), None)
        found = None if tenant is None else self._by_name.get((tenant, name))
        return None if found is None or found.id in self._removed else found

    def owner_of(self, vehicle_id: int) -> int:
        """The tenant of a vehicle that is known to be there."""
        return self._vehicles[vehicle_id]

    def has_vehicle(self, tenant_id: int, vehicle_id: int) -> bool:
        """Whether a tenant has this vehicle."""
        return self._vehicles.get(vehicle_id) == tenant_id

    def vehicles_of(self, tenant_id: int) -> list[int]:
        """Ids of all vehicles of a tenant."""
        return [number for number, owner in list(self._vehicles.items()) if owner == tenant_id]

    def device_of(self, vehicle_id: int) -> DeviceRef | None:
        """The device that sits in a vehicle now; of several the one assigned last."""
        device_id = self._sitting.get(vehicle_id)
        return None if device_id is None else self._by_id.get(device_id)

    def vehicle_at(self, device_id: int, ts_us: int) -> int | None:
        """The vehicle a device sat in at a time (microseconds of UTC)."""
        seats = self._seats.get(device_id)
        if seats is None:
            return None
        i = bisect_right(seats[0], ts_us) - 1
        return seats[1][i] if i >= 0 else None

    def vehicle_of(self, device_id: int) -> int | None:
        """The vehicle a device sits in now."""
        seats = self._seats.get(device_id)
        return None if seats is None else seats[1][-1]

    def assign(self, device_id: int, vehicle_id: int | None, valid_from: datetime) -> None:
        """From `valid_from` on the device sits in another vehicle; `Conflict` unless that is after its last change."""
        ref = self._by_id[device_id]
        with self._lock:
            if self._seats[device_id][0][-1] >= _micros(valid_from):
                raise Conflict(f"device {ref.name}: expected a time after its last change of vehicle")
            row = Assignment(tenant_id=ref.tenant_id, device_id=device_id, vehicle_id=vehicle_id, valid_from=valid_from)
            self._db.write_sync(lambda session: session.add(row))
            self._seat(device_id, valid_from, vehicle_id)

    def hello(self, device: DeviceRef, hello: Hello) -> None:
        """Take note of agent version and VIN; writes only what changed since the last hello."""
        # A database may refuse what is no character.
        heard = (hello.agent_version.replace("\0", "")[:40], hello.vin)
        if self._heard.get(device.id) == heard:
            return
        vehicle_id = self.vehicle_of(device.id)

        def write(session: Session) -> None:
            if (row := session.get(Device, device.id)) is not None:
                row.agent_version = heard[0]
            if vehicle_id is not None and hello.vin:
                note_vin(session, vehicle_id, hello.vin)

        self._db.write_sync(write)
        self._heard[device.id] = heard

    def _remember(self, ref: DeviceRef) -> None:
        self._by_name[ref.tenant, ref.name] = ref
        self._by_id[ref.id] = ref

    def _seat(self, device_id: int, valid_from: datetime, vehicle_id: int | None) -> None:
        since, vehicles = self._seats.get(device_id, ([], []))
        # Replaced, not appended to: readers of other threads hold no lock.
        self._seats[device_id] = ([*since, _micros(valid_from)], [*vehicles, vehicle_id])
        left = vehicles[-1] if vehicles else None
        if left is not None and left != vehicle_id and self._sitting.get(left) == device_id:
            self._leave(left)
        if vehicle_id is not None:
            other = self._sitting.get(vehicle_id)
            if other is None or self._seats[other][0][-1] <= _micros(valid_from):
                self._sitting[vehicle_id] = device_id

    def _leave(self, vehicle_id: int) -> None:
        here = [(since[-1], number) for number, (since, vehicles) in self._seats.items() if vehicles[-1] == vehicle_id]
        if here:
            self._sitting[vehicle_id] = max(here)[1]
        else:
            del self._sitting[vehicle_id]


def note_vin(session: Session, vehicle_id: int, vin: str) -> None:
    """Write down the VIN that the vehicle's own computer told."""
    vehicle = session.get(Vehicle, vehicle_id)
    if vehicle is not None and len(vin) == 17 and vin.isascii() and vin.isalnum():
        vehicle.vin = vin.upper()


def _micros(when: datetime) -> int:
    return (when - ALWAYS) // timedelta(microseconds=1)
