"""The keys of devices: listed, revoked, seen twice."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.enrolment.tables import DeviceKey


def keys_of(session: Session, device_id: int) -> Sequence[DeviceKey]:
    """Keys of a device of the session's tenant, the newest first."""
    found = select(DeviceKey).where(DeviceKey.device_id == device_id)
    return session.scalars(found.order_by(DeviceKey.enrolled.desc(), DeviceKey.id.desc())).all()


def revoke(session: Session, device_id: int, now: datetime) -> list[str]:
    """Revoke every key of a device that is not yet; returns their public keys."""
    keys = [key for key in keys_of(session, device_id) if key.revoked is None]
    for key in keys:
        key.revoked = now
    return [key.public_key for key in keys]


def revocations(session: Session, now: datetime) -> dict[str, int]:
    """What the broker must know: public keys, and the second up to which their tokens do not hold.

    A key whose newest token has ended needs no revocation: it opens nothing any more. The list stays short.
    """
    found = select(DeviceKey).where(DeviceKey.revoked.is_not(None), DeviceKey.expires > now)
    return {key.public_key: int((key.revoked or now).timestamp()) + 1 for key in session.scalars(found)}


def mark_cloned(session: Session, public_key: str, now: datetime) -> int | None:
    """Note that two machines were seen at work with a key; returns its device, None for a key that is no device's."""
    key = session.scalars(select(DeviceKey).where(DeviceKey.public_key == public_key)).one_or_none()
    if key is None:
        return None
    key.cloned = now
    return key.device_id
