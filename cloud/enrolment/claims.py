"""Claim codes: made, listed, cancelled, used. Each lets one device in, once, for a while."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
import secrets

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.enrolment.tables import ClaimCode
from sync_protocol.enrolment import CODE_CHARACTERS, CODE_LENGTH, read_code
from sync_protocol.errors import Conflict, Denied, NotFound

MOST_AT_ONCE = 1000
_HINT = 4
_NO_GOOD = "This claim code is not good: mistyped, used, cancelled or out of date."


class MadeCode(msgspec.Struct, frozen=True):
    """A new claim code, this once with the code itself."""

    id: int
    code: str
    vehicle_id: int | None
    expires: datetime


def make_codes(
    session: Session,
    tenant_id: int,
    *,
    count: int,
    vehicle_id: int | None,
    life: timedelta,
    made_by: str,
    now: datetime,
) -> list[MadeCode]:
    """New codes of a tenant."""
    codes = ["".join(secrets.choice(CODE_CHARACTERS) for _ in range(CODE_LENGTH)) for _ in range(count)]
    rows = [
        ClaimCode(
            tenant_id=tenant_id,
            code_hash=_hash(code),
            hint=code[:_HINT],
            vehicle_id=vehicle_id,
            made_by=made_by[:80],
            created=now,
            expires=now + life,
        )
        for code in codes
    ]
    session.add_all(rows)
    session.flush()
    return [MadeCode(row.id, code, vehicle_id, row.expires) for row, code in zip(rows, codes, strict=True)]


def list_codes(session: Session, most: int = MOST_AT_ONCE) -> Sequence[ClaimCode]:
    """The codes of the session's tenant, newest first."""
    return session.scalars(select(ClaimCode).order_by(ClaimCode.created.desc(), ClaimCode.id.desc()).limit(most)).all()


def cancel_code(session: Session, claim_id: int) -> None:
    """Delete an unused code of the session's tenant. `NotFound`, `Conflict` once a device has come in with it."""
    is_possible = 0 < claim_id < 1 << 63  # no database takes a larger number, not even to look for it
    found = select(ClaimCode).where(ClaimCode.id == claim_id)
    row = session.scalars(found).one_or_none() if is_possible else None
    if row is None:
        raise NotFound(f"There is no claim code {claim_id}.")
    if row.used is not None:
        raise Conflict("This claim code was used; revoke the device that came in with it.")
    session.delete(row)


def find_code(session: Session, text: str, public_key: str, now: datetime) -> ClaimCode:
    """The code that somebody shows; `Denied`, without saying why, when it lets nobody in.

    One that this very key has used is found again: the answer may not have reached the device.
    """
    row = session.scalars(select(ClaimCode).where(ClaimCode.code_hash == _hash(read_code(text)))).one_or_none()
    if row is None or row.expires <= now or (row.used is not None and row.public_key != public_key):
        raise Denied(_NO_GOOD)
    return row


def use_code(session: Session, claim_id: int, public_key: str, device_id: int, now: datetime) -> None:
    """Write down who came in; `Denied` when somebody else was faster."""
    row = session.scalars(select(ClaimCode).where(ClaimCode.id == claim_id)).one_or_none()
    if row is None or row.used is not None:
        raise Denied(_NO_GOOD)
    row.used, row.public_key, row.device_id = now, public_key, device_id


def _hash(code: str) -> str:
    # The code is random and long: nothing slower is needed than what makes it unreadable.
    return sha256(b"milepost claim " + code.encode()).hexdigest()
