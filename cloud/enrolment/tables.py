"""Tables of enrolment: claim codes, and the keys of devices."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.db.base import Base, TenantOwned, Utc

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


class ClaimCode(TenantOwned, Base):
    """Lets one device in, once. Only the code's hash is kept; `hint` is how it begins.

    With `vehicle_id` the device takes the place of the one that sits in that vehicle.
    """

    __tablename__ = "claim_codes"
    __table_args__ = (Index("ix_claim_codes_tenant_id_created", "tenant_id", "created"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(4))
    vehicle_id: Mapped[int | None] = mapped_column(ForeignKey("vehicles.id"))
    made_by: Mapped[str] = mapped_column(String(80))
    created: Mapped[datetime] = mapped_column(Utc)
    expires: Mapped[datetime] = mapped_column(Utc)
    used: Mapped[datetime | None] = mapped_column(Utc)
    public_key: Mapped[str | None] = mapped_column(String(56))
    device_id: Mapped[int | None] = mapped_column(ForeignKey("devices.id"))


class DeviceKey(TenantOwned, Base):
    """The key of a device. `issued` and `expires` are those of its newest token; a revoked key never comes back.

    `cloned` is when two connections with this key were seen at work at once, last.
    """

    __tablename__ = "device_keys"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"), index=True)
    public_key: Mapped[str] = mapped_column(String(56), unique=True)
    enrolled: Mapped[datetime] = mapped_column(Utc)
    issued: Mapped[datetime] = mapped_column(Utc)
    expires: Mapped[datetime] = mapped_column(Utc)
    revoked: Mapped[datetime | None] = mapped_column(Utc)
    cloned: Mapped[datetime | None] = mapped_column(Utc)
