"""A whole service in this process with two tenants in it. Each has a vehicle whose device has sent frames, a person of
every role, and objects under every name that a path of the API asks for.
"""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
import time
from typing import Any, TypeVar

import httpx
import nats
from sqlalchemy.orm import Session

from cloud.app import Cloud
from cloud.config import CloudConfig, DatabaseConfig, IngestConfig, ListenConfig, NatsConfig, RegistryConfig
from cloud.db import migrate
from cloud.fleet.registry import ALWAYS
from cloud.fleet.tables import Assignment, Device, Tenant, Vehicle
from cloud.identity.policy import Role
from cloud.identity.sessions import Caller
from cloud.identity.tables import Membership, User
from sync_protocol.messages import Event
from tests.support.cloud_process import eventually
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive

T = TypeVar("T")
OURS, THEIRS = "north", "south"
TENANTS = {OURS: 1, THEIRS: 2}
MARK = "secretmark"
"""Stands in every text that belongs to `THEIRS`: vehicle, device, people, events."""
_NOW = datetime.now(UTC)
_PATIENCE_S = 60.0


class TwoTenants:
    """Runs from `start` to `stop`. `objects[tenant]` has one object of the tenant under each path parameter's name."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        """`url`: of an empty relational database; SQLite in the folder without."""
        self.config = CloudConfig(
            demo=True,
            data_dir=folder,
            database=DatabaseConfig(url),
            listen=ListenConfig(port=0),
            nats=NatsConfig(port=0, disk_reserve_bytes=0, stream_bytes=64 * 1024**2),
            registry=RegistryConfig(tenant=OURS),
            ingest=IngestConfig(commit_window_s=0.05, ack_delay_s=0.0),
        )
        self.objects: dict[str, dict[str, str]] = {OURS: {}, THEIRS: {}}
        self._tokens: dict[tuple[str, Role], str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Fill the database, start the service, send frames."""
        self.config.data_dir.mkdir(parents=True, exist_ok=True)
        self.cloud = Cloud(self.config)
        migrate.upgrade(self.cloud.db.engine)
        self.cloud.db.write_sync(_fill)
        self.cloud.open()
        self._stop = asyncio.Event()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        eventually(self._answers, "the service answers", _PATIENCE_S)
        for name in TENANTS:
            self.call(_send_frames(self.cloud.broker.url, name))
            self.objects[name] = {
                "vehicle_id": str(TENANTS[name]),
                "device_id": _device(name),
                "session_id": self._a_session(name),
                "user_id": str(user_of(name, Role.DRIVER)),
                "invitation_id": self._an_invitation(name),
            }
        for name in TENANTS:
            now = datetime.now(UTC)
            asked = {"from": now.replace(hour=0, minute=0).isoformat(), "to": now.isoformat()}
            with self.client(name, Role.OWNER) as http:
                pull = http.post(f"/api/v1/vehicles/{TENANTS[name]}/pulls", json=asked)
                claims = http.post("/api/v1/claim-codes", json={"days": 1})
                key = http.post("/api/v1/api-keys", json={"name": _mark(name), "actions": ["fleet.read"]})
            self.objects[name] |= {
                "number": str(pull.json()["id"]),
                "claim_id": str(claims.json()["items"][0]["id"]),
                "key_id": str(key.json()["id"]),
            }

    def stop(self) -> None:
        """Stop the service and wait for its end."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_PATIENCE_S)
        self.cloud.close()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the service's own loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    def token(self, tenant: str, role: Role) -> str:
        """An access token of the tenant's person of a role."""
        if (tenant, role) not in self._tokens:
            sessions = self.cloud.people.sessions
            opening = sessions.open(user_of(tenant, role), TENANTS[tenant], role, Caller("192.0.2.1", "test"))
            self._tokens[tenant, role] = self.call(opening).access
        return self._tokens[tenant, role]

    def client(self, tenant: str, role: Role) -> httpx.Client:
        """The API as a person."""
        headers = {"Authorization": f"Bearer {self.token(tenant, role)}"}
        return httpx.Client(base_url=self.cloud.url, timeout=20, headers=headers)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.cloud.serve(self._stop)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.cloud.url}/ready").is_success
        except (httpx.TransportError, httpx.UnsupportedProtocol):
            return False

    def _a_session(self, tenant: str) -> str:
        caller = Caller(f"{MARK}-address", MARK) if tenant == THEIRS else Caller("192.0.2.1", "test")
        role = Role.OWNER
        opening = self.cloud.people.sessions.open(user_of(tenant, role), TENANTS[tenant], role, caller)
        return self.call(opening).refresh.split(".")[0]

    def _an_invitation(self, tenant: str) -> str:
        making = self.cloud.people.invitations.make(TENANTS[tenant], f"{tenant}@{_mark(tenant)}.example", Role.DRIVER)
        return str(self.call(making)[0].id)


def user_of(tenant: str, role: Role) -> int:
    """The id of a tenant's person of a role."""
    return TENANTS[tenant] * 100 + list(Role).index(role)


def _device(tenant: str) -> str:
    return f"van-{MARK}" if tenant == THEIRS else "van-ours"


def _mark(tenant: str) -> str:
    return MARK if tenant == THEIRS else "ours"


def _fill(session: Session) -> None:
    for name, number in TENANTS.items():
        mark = _mark(name)
        session.add(Tenant(id=number, name=name, created=_NOW))
        session.flush()
        session.add(Vehicle(id=number, tenant_id=number, name=f"Van {mark}", plate=mark, created=_NOW))
        session.add(Device(id=number, tenant_id=number, name=_device(name), created=_NOW))
        session.flush()
        session.add(Assignment(tenant_id=number, device_id=number, vehicle_id=number, valid_from=ALWAYS))
        for role in Role:
            user_id = user_of(name, role)
            user = User(id=user_id, email=f"{role}@{mark}.example", name=f"{role} {mark}", is_demo=False, created=_NOW)
            session.add(user)
            session.flush()
            session.add(Membership(tenant_id=number, user_id=user_id, role=role, created=_NOW))


async def _send_frames(url: str, tenant: str) -> None:
    client = await nats.connect(url)
    try:
        device = await FakeDevice(client, _device(tenant), tenant).listen()
        drive = Drive(TENANTS[tenant], epoch_ms=time.time_ns() // 1_000_000 - 40_000)
        first_ms = drive.first_ms(1)
        mark = _mark(tenant)
        events = [
            Event(first_ms, "dtc_set", {"code": "P0301", "status": "stored"}),
            Event(first_ms, "harsh_brake", {"note": mark}),
        ]
        frames = {seq: drive.frame(seq, events if seq == 1 else []) for seq in range(1, 4)}
        await device.until_acked(drive.stream_id, frames)
    finally:
        await client.close()
