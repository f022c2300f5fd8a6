"""Enrolment over a database in a folder, with a clock that the test turns, and devices that come in by its rules."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cloud.config import EnrolmentConfig, RegistryConfig
from cloud.db import migrate
from cloud.db.engine import Database
from cloud.enrolment import keyring
from cloud.enrolment.keys import Key
from cloud.enrolment.payloads import ClaimRequest
from cloud.enrolment.service import Enrolling
from cloud.fleet.registry import FleetRegistry
from sync_protocol.enrolment import Enrolled, EnrolmentRequest, RenewalRequest, to_sign

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Office:
    """Two tenants, `acme` and `other`; `now` is turned by the test."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        """`url`: of the database; SQLite in the folder without."""
        self.now = NOW
        self.db = Database(url or f"sqlite:///{folder / 'fleet.db'}")
        migrate.upgrade(self.db.engine)
        self.registry = FleetRegistry(self.db, RegistryConfig(), is_demo=False)
        self.registry.load()
        self.acme, self.other = (self.registry.add_tenant(name) for name in ("acme", "other"))
        keyring.make(folder / "identity", ["fleet.example"], NOW)
        self.ring = keyring.load(folder / "identity")
        self.enrolling = Enrolling(
            EnrolmentConfig(),
            self.db,
            self.registry,
            self.ring,
            api_url=lambda: "https://fleet.example:8080",
            nats_urls=lambda: ("tls://fleet.example:4222",),
            clock=lambda: self.now,
        )

    async def code(self, tenant_id: int, vehicle_id: int | None = None, days: int = 14) -> str:
        """A new claim code."""
        made = await self.enrolling.make_claims(tenant_id, ClaimRequest(1, vehicle_id, days), "test")
        return made.items[0].code

    async def enrol(self, code: str, key: Key, name: str = "van") -> Enrolled:
        """A device comes in."""
        return await self.enrolling.enrolment.enrol(enrolment(self.enrolling.challenges.make(), code, key, name))

    async def renew(self, key: Key) -> Enrolled:
        """A device asks for a new token."""
        challenge = self.enrolling.challenges.make()
        signature = key.sign(to_sign(challenge, key.public)).hex()
        return await self.enrolling.enrolment.renew(RenewalRequest(key.public, challenge, signature))

    def later(self, **passed: float) -> None:
        """Let time pass."""
        self.now += timedelta(**passed)


def enrolment(challenge: str, code: str, key: Key, name: str = "van") -> EnrolmentRequest:
    """A request that is as it should be."""
    signature = key.sign(to_sign(challenge, key.public, code, name)).hex()
    return EnrolmentRequest(code, key.public, challenge, signature, name)
