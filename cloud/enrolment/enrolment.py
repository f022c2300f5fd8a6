"""Lets devices in and renews their tokens. The rules; HTTP stands around them."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
import re
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.enrolment.claims import find_code, use_code
from cloud.enrolment.keyring import Keyring
from cloud.enrolment.keys import check_signature
from cloud.enrolment.nats_jwt import device_jwt
from cloud.enrolment.tables import DeviceKey
from cloud.facts import DeviceRef
from sync_protocol.enrolment import Enrolled, EnrolmentRequest, RenewalRequest, read_code, to_sign
from sync_protocol.errors import Conflict, Denied, Invalid

_NAME_LENGTH = 48  # leaves room for the number that tells devices of one name apart
log = structlog.get_logger()


class FleetDevices(Protocol):
    """What enrolment needs of the fleet."""

    def tenant_name(self, tenant_id: int) -> str:
        """The word of a tenant."""

    def device_by_id(self, device_id: int) -> DeviceRef | None:
        """The device with this id."""

    def add_device(
        self, tenant_id: int, wish: str, vehicle_id: int | None, also: Callable[[Session, int], None]
    ) -> DeviceRef:
        """A new device in a vehicle (None: in a new one); `also` writes in the same transaction, given its id."""


class Enrolment:
    """Over the relational database and the deployment's keys.

    `clock` is aware UTC. `nats_urls`: where devices reach the broker; `life`: of a token.
    """

    def __init__(
        self,
        db: Database,
        fleet: FleetDevices,
        keyring: Keyring,
        *,
        nats_urls: Callable[[], tuple[str, ...]],
        life: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._db = db
        self._fleet = fleet
        self._ring = keyring
        self._nats_urls = nats_urls
        self._life = life
        self._clock = clock

    async def enrol(self, request: EnrolmentRequest) -> Enrolled:
        """Let a device in. `Denied` without a good code and signature, `Invalid` for what is none at all.

        The same key with the same code gets the same answer again, in case that one was lost.
        """
        code, now = read_code(request.code), self._clock()
        signed = to_sign(request.challenge, request.public_key, code, request.name)
        check_signature(request.public_key, "U", _hex(request.signature), signed)
        claim = await self._db.run(lambda session: find_code(session, code, request.public_key, now))
        if claim.device_id is not None:
            return await self.renewed(request.public_key)
        expires = now + self._life

        def also(session: Session, device_id: int) -> None:
            if session.scalars(select(DeviceKey.id).where(DeviceKey.public_key == request.public_key)).first():
                raise Conflict("This key has come in before: make a new one.")
            use_code(session, claim.id, request.public_key, device_id, now)
            session.add(
                DeviceKey(
                    tenant_id=claim.tenant_id,
                    device_id=device_id,
                    public_key=request.public_key,
                    enrolled=now,
                    issued=now,
                    expires=expires,
                )
            )

        wish = device_word(request.name)
        ref = await asyncio.to_thread(lambda: self._fleet.add_device(claim.tenant_id, wish, claim.vehicle_id, also))
        log.info("device_enrolled", tenant=ref.tenant, device=ref.name, device_id=ref.id, claim_id=claim.id)
        return self._answer(ref, request.public_key, now, expires)

    async def renew(self, request: RenewalRequest) -> Enrolled:
        """A new token for a device that is in; `Denied` when it is not, or no longer."""
        signed = to_sign(request.challenge, request.public_key)
        check_signature(request.public_key, "U", _hex(request.signature), signed)
        return await self.renewed(request.public_key)

    async def renewed(self, public_key: str) -> Enrolled:
        """A new token for a key whose holder has been made sure of."""
        now = self._clock()
        expires = now + self._life

        def write(session: Session) -> int:
            key = session.scalars(select(DeviceKey).where(DeviceKey.public_key == public_key)).one_or_none()
            if key is None or key.revoked is not None:
                raise Denied("This device is not enrolled, or no longer: it needs a new claim code.")
            key.issued, key.expires = now, expires
            return key.device_id

        ref = self._fleet.device_by_id(await self._db.write(write))
        assert ref is not None, "keys are of devices"
        log.info("device_renewed", tenant=ref.tenant, device=ref.name)
        return self._answer(ref, public_key, now, expires)

    def _answer(self, ref: DeviceRef, public_key: str, now: datetime, expires: datetime) -> Enrolled:
        ring = self._ring
        issued_s, expires_s = int(now.timestamp()), int(expires.timestamp())
        token = device_jwt(
            ring.devices, ring.facts.fleet_account, public_key, ref.tenant, ref.name, issued_s, expires_s
        )
        return Enrolled(
            tenant=ref.tenant,
            device=ref.name,
            token=token,
            expires_utc_ms=expires_s * 1000,
            utc_ms=int(now.timestamp() * 1000),
            nats_urls=self._nats_urls(),
            authority=ring.authority.decode("ascii"),
            command_keys=ring.facts.command_keys,
        )


def device_word(name: str) -> str:
    """The word in subjects that comes nearest to a wish; `device` when nothing of it is left."""
    word = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")
    return word[:_NAME_LENGTH].rstrip("-_") or "device"


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Invalid("signature: expected hexadecimal digits") from None
