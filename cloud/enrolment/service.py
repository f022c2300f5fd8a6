"""Enrolment, put together: what `cloud/app.py` opens and runs, and what the routes hold."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
import time
from typing import Protocol

from nats.aio.client import Client
from sqlalchemy.orm import Session
import structlog

from cloud.broker_login import TokenLogin
from cloud.config import EnrolmentConfig
from cloud.db.engine import Database
from cloud.db.scope import TenantDatabase
from cloud.enrolment import claims, device_keys, keyring
from cloud.enrolment.account import SystemLink
from cloud.enrolment.broker_identity import DeploymentIdentity
from cloud.enrolment.challenges import Challenges
from cloud.enrolment.commands import Publish, SignedCommands
from cloud.enrolment.enrolment import Enrolment, FleetDevices
from cloud.enrolment.payloads import ClaimRequest, DeviceIdentity, KeyView, NewClaim, NewClaims, claim_payload
from cloud.facts import DeviceRef
from cloud.identity.throttle import Throttle
from sync_protocol.errors import Conflict, NotFound, Unavailable

FREE_TRIES = 30  # of one address at once: a depot whose devices come in together has one
_CLONE_SAID = timedelta(minutes=10)
_DEMO = "This is a demo: it takes every device that comes."
log = structlog.get_logger()


class Fleet(FleetDevices, Protocol):
    """What is asked of the fleet's registry."""

    def device_named(self, tenant_id: int, name: str) -> DeviceRef | None:
        """A device of a tenant."""

    def has_vehicle(self, tenant_id: int, vehicle_id: int) -> bool:
        """Whether a tenant has a vehicle."""

    def vehicle_of(self, device_id: int) -> int | None:
        """The vehicle a device sits in now."""

    def assign(self, device_id: int, vehicle_id: int | None, valid_from: datetime) -> None:
        """From then on the device sits in another vehicle."""

    def remove_device(self, device_id: int, now: datetime) -> None:
        """From now on the device is no part of the fleet; what it measured stays."""


class Enrolling:
    """Of one service. `api_url` and `nats_urls` are known once it listens."""

    def __init__(
        self,
        config: EnrolmentConfig,
        db: Database,
        fleet: Fleet,
        ring: keyring.Keyring | None,
        *,
        api_url: Callable[[], str],
        nats_urls: Callable[[], tuple[str, ...]],
        clock: Callable[[], datetime],
    ) -> None:
        """Without a keyring the service is a demo."""
        self._db = db
        self._fleet = fleet
        self._ring = ring
        self._api_url = api_url
        self._clock = clock
        self.challenges = Challenges(time.monotonic)
        self.throttle = Throttle(time.monotonic, FREE_TRIES)
        self._cloned: dict[str, datetime] = {}
        self.identity: DeploymentIdentity | None = None
        self._enrolment: Enrolment | None = None
        self._link: SystemLink | None = None
        if ring is not None:
            life = timedelta(days=config.token_days)
            self.identity = DeploymentIdentity(ring, self._revocations)
            self._enrolment = Enrolment(db, fleet, ring, nats_urls=nats_urls, life=life, clock=clock)
            self._link = SystemLink(ring.facts.fleet_account, self.identity.fleet_jwt, self._on_clone)

    @property
    def enrolment(self) -> Enrolment:
        """`Conflict` in a demo, which enrols nobody."""
        if self._enrolment is None:
            raise Conflict(_DEMO)
        return self._enrolment

    @property
    def authority(self) -> keyring.Keyring:
        """`Conflict` in a demo, which has no identity."""
        if self._ring is None:
            raise Conflict(_DEMO)
        return self._ring

    async def run(self, connect: Callable[[TokenLogin], Awaitable[Client]]) -> None:
        """Hold the seat in the system account, until cancelled; nothing in a demo."""
        if self._link is not None and self.identity is not None:
            await self._link.run(await connect(self.identity.system_login()))

    def signed(self, publish: Publish) -> Publish:
        """The way down to devices, on which commands are signed; in a demo as it is."""
        if self._ring is None:
            return publish
        return SignedCommands(self._ring.commands, publish, lambda: int(self._clock().timestamp() * 1000)).publish

    async def make_claims(self, tenant_id: int, asked: ClaimRequest, made_by: str) -> NewClaims:
        """New claim codes; `NotFound` for a vehicle that the tenant does not have."""
        if asked.vehicle_id is not None and not self._fleet.has_vehicle(tenant_id, asked.vehicle_id):
            raise NotFound(f"There is no vehicle {asked.vehicle_id}.")

        def write(session: Session) -> list[claims.MadeCode]:
            return claims.make_codes(
                session,
                tenant_id,
                count=asked.count,
                vehicle_id=asked.vehicle_id,
                life=timedelta(days=asked.days),
                made_by=made_by,
                now=self._clock(),
            )

        made = await self.of(tenant_id).write(write)
        log.info("claims_made", tenant_id=tenant_id, count=len(made), made_by=made_by)
        url, authority = self._api_url(), None if self._ring is None else self._ring.authority_sha256
        return NewClaims(
            [
                NewClaim(one.id, one.code, claim_payload(url, one.code, authority), one.vehicle_id, one.expires)
                for one in made
            ]
        )

    async def identity_of(self, device: DeviceRef) -> DeviceIdentity:
        """Who a device is to the broker."""
        keys = await self.of(device.tenant_id).run(lambda session: device_keys.keys_of(session, device.id))
        views = [
            KeyView(
                key.public_key,
                key.enrolled,
                key.issued,
                key.expires,
                key.revoked,
                key.cloned,
                0 if self._link is None else len(self._link.connections.of(key.public_key)),
            )
            for key in keys
        ]
        return DeviceIdentity(
            device.name,
            self._fleet.vehicle_of(device.id),
            any(view.connections for view in views),
            any(view.cloned is not None and view.revoked is None for view in views),
            views,
        )

    async def revoke(self, device: DeviceRef) -> None:
        """Lock a device out; its open connections end. May be repeated.

        `Unavailable` when the broker has not heard of it yet: it will, as soon as it can be reached.
        """
        now = self._clock()
        revoked = await self.of(device.tenant_id).write(lambda session: device_keys.revoke(session, device.id, now))
        log.warning("device_revoked", tenant=device.tenant, device=device.name, keys=len(revoked))
        if self._link is not None:
            await self._link.push()

    async def remove(self, device: DeviceRef) -> None:
        """Lock a device out and take it out of the fleet; what it measured stays with its vehicles."""
        try:
            await self.revoke(device)
        except Unavailable as err:
            log.warning("account_not_pushed", reason=str(err))
        now = self._clock()
        await asyncio.to_thread(lambda: self._fleet.remove_device(device.id, now))

    def of(self, tenant_id: int) -> TenantDatabase:
        """The database as one tenant sees it."""
        return TenantDatabase(self._db, tenant_id)

    def name_of(self, device_id: int) -> str | None:
        """The name of a device."""
        ref = self._fleet.device_by_id(device_id)
        return None if ref is None else ref.name

    def device(self, tenant_id: int, name: str) -> DeviceRef:
        """A device of a tenant; `NotFound`."""
        found = self._fleet.device_named(tenant_id, name)
        if found is None:
            raise NotFound(f"There is no device {name!r}.")
        return found

    async def move(self, device: DeviceRef, vehicle_id: int | None) -> None:
        """From now on the device sits in another vehicle. `NotFound` for one that the tenant does not have."""
        if vehicle_id is not None and not self._fleet.has_vehicle(device.tenant_id, vehicle_id):
            raise NotFound(f"There is no vehicle {vehicle_id}.")
        now = self._clock()
        await asyncio.to_thread(lambda: self._fleet.assign(device.id, vehicle_id, now))
        log.info("device_moved", tenant=device.tenant, device=device.name, vehicle_id=vehicle_id)

    def _revocations(self) -> Mapping[str, int]:
        now = self._clock()
        return self._db.run_sync(lambda session: device_keys.revocations(session, now))

    def _on_clone(self, public_key: str) -> None:
        now = self._clock()
        told = self._cloned.get(public_key)
        if told is not None and now - told < _CLONE_SAID:
            return
        self._cloned[public_key] = now
        device_id = self._db.write_sync(lambda session: device_keys.mark_cloned(session, public_key, now))
        if device_id is not None:
            device = self._fleet.device_by_id(device_id)
            log.error("device_cloned", device=None if device is None else device.name, device_id=device_id)
