"""Tables of the fleet. Every row of tenant data carries `tenant_id`."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantOwned, Utc

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")
# What pages ask of every vehicle at once is what has no end yet: indexes of its own, small however long the past.
_LASTS = text("until IS NULL")
_STANDS = text("cleared_at IS NULL")


class Tenant(Base):
    """A company. `name` is the word in NATS subjects. While it is `suspended` its people and keys are refused."""

    __tablename__ = "tenants"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(63), unique=True)
    created: Mapped[datetime] = mapped_column(Utc)
    suspended: Mapped[datetime | None] = mapped_column(Utc)


class Vehicle(TenantOwned, Base):
    """The asset."""

    __tablename__ = "vehicles"
    __table_args__ = (Index("ix_vehicles_tenant_id_name", "tenant_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    plate: Mapped[str | None] = mapped_column(String(20))
    vin: Mapped[str | None] = mapped_column(String(17))
    make: Mapped[str | None] = mapped_column(String(60))
    model: Mapped[str | None] = mapped_column(String(60))
    year: Mapped[int | None] = mapped_column(Integer)
    created: Mapped[datetime] = mapped_column(Utc)


class Device(TenantOwned, Base):
    """The box in a vehicle. `name` is the word in NATS subjects; `agent_version` is what its last hello said.

    A `removed` one is on no list, and its name stays taken: what it measured is still told by it.
    """

    __tablename__ = "devices"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(63))
    agent_version: Mapped[str | None] = mapped_column(String(40))
    created: Mapped[datetime] = mapped_column(Utc)
    removed: Mapped[datetime | None] = mapped_column(Utc)


class Assignment(TenantOwned, Base):
    """From `valid_from` until the device's next assignment it sits in this vehicle; null: in none."""

    __tablename__ = "assignments"
    __table_args__ = (UniqueConstraint("device_id", "valid_from"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    vehicle_id: Mapped[int | None] = mapped_column(ForeignKey("vehicles.id"), index=True)
    valid_from: Mapped[datetime] = mapped_column(Utc)


class VehicleState(TenantOwned, Base):
    """One interval of a vehicle's life; `until` is null while it lasts. Written by derive, whole, never by hand."""

    __tablename__ = "vehicle_states"
    __table_args__ = (
        Index("ix_vehicle_states_vehicle_id_since", "vehicle_id", "since"),
        Index("ix_vehicle_states_open", "vehicle_id", sqlite_where=_LASTS, postgresql_where=_LASTS),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    vehicle_id: Mapped[int] = mapped_column(ForeignKey("vehicles.id"))
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    status: Mapped[str] = mapped_column(String(12))
    since: Mapped[datetime] = mapped_column(Utc)
    until: Mapped[datetime | None] = mapped_column(Utc)


class Fault(TenantOwned, Base):
    """One spell of a trouble code: from its first report until it was cleared; `cleared_at` is null while it stands.

    freeze: what the engine computer measured when it set the code, by signal; null where it did not say.
    """

    __tablename__ = "faults"
    __table_args__ = (
        Index("ix_faults_vehicle_id_code", "vehicle_id", "code"),
        Index("ix_faults_open", "vehicle_id", "code", sqlite_where=_STANDS, postgresql_where=_STANDS),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    vehicle_id: Mapped[int] = mapped_column(ForeignKey("vehicles.id"))
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    code: Mapped[str] = mapped_column(String(8))
    status: Mapped[str] = mapped_column(String(12))
    first_seen: Mapped[datetime] = mapped_column(Utc)
    last_seen: Mapped[datetime] = mapped_column(Utc)
    cleared_at: Mapped[datetime | None] = mapped_column(Utc)
    freeze: Mapped[dict[str, float] | None] = mapped_column(JSON(none_as_null=True))


class PulledRange(TenantOwned, Base):
    """A range of history that a vehicle was asked for, by the number of its command; `content` is JSON."""

    __tablename__ = "pulls"

    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    vehicle_id: Mapped[int] = mapped_column(ForeignKey("vehicles.id"))
    content: Mapped[bytes] = mapped_column(LargeBinary)


class DeriveCursor(TenantOwned, Base):
    """How far derive has come with a device, and the steps' state there; committed with their outputs."""

    __tablename__ = "derive_cursors"

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), primary_key=True)
    stream_no: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[bytes] = mapped_column(LargeBinary)
