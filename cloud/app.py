"""The cloud service, put together: which stages there are, in which order they start, and how they stop.

    broker -> ingest -> telemetry store -> derive
                  \\-> live -> WebSocket       store, live, database -> HTTP

Everything a stage needs it gets here as an argument; nothing else knows two stages.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
import fcntl
from importlib.metadata import version
import os
from pathlib import Path
import signal
import time
from typing import IO

from litestar import Litestar
from litestar.types import Scope
from nats.aio.client import Client
from prometheus_client import CollectorRegistry
from sqlalchemy import URL, text
import structlog

from cloud.admin import Admin
from cloud.audit import routes as audit_routes
from cloud.audit.looks import note_looks
from cloud.audit.routes import AuditLog
from cloud.audit.trail import TracedDatabase
from cloud.broker_login import Login
from cloud.config import CloudConfig
from cloud.db import migrate
from cloud.db.engine import relational_url
from cloud.db.scope import TenantDatabase
from cloud.deployment import api_url, check_deployment, known_hosts, load_identity, outside_url, server_files
from cloud.derive.engine import DeriveEngine
from cloud.enrolment import routes as enrolment_routes
from cloud.enrolment.payloads import ClaimRequest, NewClaims
from cloud.enrolment.service import Enrolling
from cloud.fleet import device_routes, history_routes, pull_routes, routes
from cloud.fleet.cursors import Cursors
from cloud.fleet.identify import IdentifyStep
from cloud.fleet.pull_rows import load_pulls
from cloud.fleet.pulls import Pulls
from cloud.fleet.registry import FleetRegistry
from cloud.fleet.service import Fleet
from cloud.fleet.step import FaultStep, VehicleStateStep
from cloud.fleets import Fleets
from cloud.http import live_socket
from cloud.http.access import principal_of
from cloud.http.api import make_api
from cloud.http.guard import Guard, HttpMetrics
from cloud.http.listener import Listener, bind_tcp, bind_unix
from cloud.http.live_socket import LiveAccess
from cloud.http.rates import Rates
from cloud.http.web_app import WebApp
from cloud.identity import credential_routes, member_routes
from cloud.identity import routes as people_routes
from cloud.identity.members import names_of, tenants_of
from cloud.identity.service import Identity, keep_ending
from cloud.ingest.broker import Broker
from cloud.ingest.service import Ingest
from cloud.ingest.source import connect
from cloud.live.hub import LiveHub
from cloud.ops import health
from cloud.ops.audit import AuditAdmin
from cloud.ops.control import SOCKET, ClaimOrder, Control, Place, Status, control_app
from cloud.ops.health import Probes
from cloud.ops.metrics import Gauge, StageCollector, StageCount
from cloud.ops.people import PeopleAdmin
from cloud.telemetry.derive_reader import DeriveReader
from cloud.telemetry.ledger_view import load_ledger
from cloud.telemetry.spans import keep_rolling
from cloud.telemetry.store import TelemetryStore
from cloud.telemetry.tiers import keep_building
from cloud.telemetry.writer import TelemetryWriter, load_latest
from sync_protocol.errors import NotFound, Unavailable

VERSION = version("milepost")
V1_ROUTES = [
    *routes.ROUTES,
    *history_routes.ROUTES,
    *pull_routes.ROUTES,
    *device_routes.ROUTES,
    *live_socket.ROUTES,
    *people_routes.ROUTES,
    *member_routes.ROUTES,
    *credential_routes.ROUTES,
    *enrolment_routes.ROUTES,
    *audit_routes.ROUTES,
]
LAG_S = 30.0
log = structlog.get_logger()


def database_url(config: CloudConfig) -> URL:
    """Where the relational side lives."""
    return relational_url(config.database, config.data_dir)


class Cloud:
    """All stages of one process over one data directory."""

    def __init__(self, config: CloudConfig) -> None:
        self.config = config
        self.url = api_url(config, config.listen.port)
        self._lock: IO[str] | None = None
        self.db = TracedDatabase(database_url(config), tenants_of)
        self.registry = FleetRegistry(self.db, config.registry, is_demo=config.demo)
        self.store = TelemetryStore(config.data_dir / "telemetry.duckdb", config.telemetry)
        self.writer = TelemetryWriter(self.store, self.registry)
        self._ring = ring = load_identity(config)
        self.enrolling = Enrolling(
            config.enrolment,
            self.db,
            self.registry,
            ring,
            api_url=self.outside_url,
            nats_urls=lambda: tuple(config.enrolment.nats_urls) or (outside_url(ring, self.broker.url),),
            clock=lambda: datetime.now(UTC),
        )
        self.broker = Broker(config.nats, config.data_dir / "nats", self.enrolling.identity)
        self.ingest = Ingest(
            config.ingest,
            self.broker,
            self.registry,
            self.writer,
            on_live=lambda update: self.hub.apply(update),
            on_commit=lambda device_ids, has_rewinds: self.derive.notify(device_ids, has_rewinds),
        )
        publish = self.enrolling.signed(self.ingest.publish)
        self.hub = LiveHub(self.registry, publish)
        self.fleets = Fleets(self.db, self.registry, self.store, self.hub)
        self.identity = Identity(self.db, self.registry, config.mail)
        self.pulls = Pulls(
            self.registry,
            lambda vehicle_id: self.fleets.of(self.registry.owner_of(vehicle_id)).telemetry,
            publish,
            self.hub.next_number,
            self.db,
        )
        self.cursors = Cursors()
        self.derive = DeriveEngine(
            config.derive,
            DeriveReader(self.store, self.registry),
            [VehicleStateStep(), FaultStep(), IdentifyStep()],
            self.db,
            self.cursors,
        )
        self.metrics = CollectorRegistry()
        self.metrics.register(StageCollector(self._stages, self._gauges))

    def open_stores(self) -> None:
        """Take the data directory for this process and bring both stores up to date."""
        self.config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = lock_directory(self.config.data_dir)
        migrate.upgrade(self.db.engine)
        self.registry.load()
        demo = self.config.registry.tenant if self.config.demo else None
        self.people = self.identity.open(self.config.data_dir, demo, self.outside_url)
        self.store.open()

    def open(self) -> None:
        """Open the stores, read what the stages need, start the broker. Call in the main thread.

        `ConfigError` unless this is a demo or has an identity.
        """
        check_deployment(self.config)
        self.open_stores()
        self.writer.load()
        self.ingest.pipeline.book.load(*self.store.read_sync(load_ledger))
        self.ingest.pipeline.book.number_above(self.db.run_sync(self.cursors.highest_stream_no))
        self.hub.load(self.store.read_sync(load_latest))
        self.pulls.load(self.db.run_sync(load_pulls))
        self.broker.start()

    @asynccontextmanager
    async def stages(self) -> AsyncIterator[asyncio.TaskGroup]:
        """All stages but HTTP, ready to work, until the block ends. A stage that fails ends the block."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.broker.supervise(), name="broker"),
                group.create_task(self.ingest.run(), name="ingest"),
                group.create_task(self.hub.run(), name="live"),
                group.create_task(self.pulls.run(), name="pulls"),
                group.create_task(self.derive.run(), name="derive"),
                group.create_task(keep_ending(self.people), name="people"),
                group.create_task(self.enrolling.run(self._connect_system), name="enrolment"),
                group.create_task(keep_building(self.store), name="tiers"),
                group.create_task(keep_rolling(self.store), name="spans"),
            ]
            await self.ingest.is_ready.wait()
            yield group
            for task in reversed(tasks):
                task.cancel()

    def close(self) -> None:
        """Close what is open, the broker last: what ingest did not commit waits there."""
        self.identity.close()
        self.store.close()
        self.db.close()
        self.broker.stop()
        if self._lock is not None:
            self._lock.close()

    async def serve(self, stop: asyncio.Event) -> None:
        """Run everything until `stop` is set."""
        listen = self.config.listen
        tcp = bind_tcp(listen.host, listen.port)
        tls = server_files(self.config)
        self.url = api_url(self.config, tcp.getsockname()[1])
        async with self.stages() as group:
            answers = control_app(self._control(), self.people_admin(), self.audit_admin())
            control = Listener(answers, bind_unix(self.config.data_dir / SOCKET))
            guard = Guard(WebApp(self.api()), HttpMetrics(self.metrics), known_hosts(self.config))
            web = Listener(guard, tcp, tls, listen.proxies)
            await control.start()
            await web.start()
            for listener in (control, web):
                group.create_task(listener.wait())
            log.info("service_started", url=self.url, nats_url=self.broker.url, version=VERSION)
            await stop.wait()
            log.info("service_stopping")
            await web.stop()
            await control.stop()
        log.info("service_stopped")

    def outside_url(self) -> str:
        """Where devices and people reach the API."""
        return self.config.enrolment.api_url or outside_url(self._ring, self.url)

    def people_admin(self) -> PeopleAdmin:
        """Tenants and users, for the command line."""
        return PeopleAdmin(self.people, self.registry, self.db.note)

    def audit_admin(self) -> AuditAdmin:
        """The audit logs, for the command line."""
        return AuditAdmin(self.db, self.registry)

    def admin(self, ingest: Ingest | None = None) -> Admin:
        """Administration of the telemetry store; with `ingest` also replay."""
        return Admin(self.store, self.registry, self.db.note, ingest)

    def api(self) -> Litestar:
        """The HTTP application: what a route holds is narrowed to the caller's tenant here."""

        def fleet(scope: Scope) -> Fleet:
            return self.fleets.of(principal_of(scope).tenant_id)

        def live_access(scope: Scope) -> LiveAccess:
            return LiveAccess(self.hub, principal_of(scope))

        def audit(scope: Scope) -> AuditLog:
            return AuditLog(TenantDatabase(self.db, principal_of(scope).tenant_id), names_of)

        people = self.people
        probes = self.probes()
        return make_api(
            VERSION,
            V1_ROUTES,
            health.ROUTES,
            {
                "fleet": fleet,
                "pulls": lambda: self.pulls,
                "live_access": live_access,
                "people": lambda: people,
                "enrolling": lambda: self.enrolling,
                "audit": audit,
                "probes": lambda: probes,
            },
            people.identify,
            Rates(self.config.listen.requests_per_s, self.config.listen.requests_burst, time.monotonic),
            [note_looks(self.db.note)],
        )

    async def _connect_system(self, login: Login) -> Client:
        return await connect(self.broker.url, "milepost-system", login)

    async def make_claims(self, order: ClaimOrder) -> NewClaims:
        """Claim codes for the command line. `NotFound` for a tenant or vehicle that is not there."""
        asked = ClaimRequest(order.count, order.vehicle_id, order.days)
        return await self.enrolling.make_claims(self._tenant_id(order.tenant), asked, "command line")

    async def admit(self, place: Place) -> None:
        """See to it that a tenant has this device, for an import. `NotFound` for a tenant that is not there."""
        tenant_id = self._tenant_id(place.tenant)
        if self.registry.device(place.tenant, place.device) is None:
            add = self.registry.add_device
            await asyncio.to_thread(lambda: add(tenant_id, place.device, None, lambda _session, _device_id: None))

    def _tenant_id(self, name: str) -> int:
        tenant_id = self.registry.tenant_named(name)
        if tenant_id is None:
            raise NotFound(f"There is no tenant {name!r}.")
        return tenant_id

    def probes(self) -> Probes:
        """What readiness asks."""
        return Probes(
            {"broker": self._ask_broker, "store": self._ask_store, "db": self._ask_db, "ingest": self._ask_ingest},
            VERSION,
            self.metrics,
        )

    async def _ask_broker(self) -> str:
        if not self.broker.is_running:
            raise Unavailable("nats-server has ended; it is being restarted")
        return self.broker.url

    async def _ask_store(self) -> str:
        await self.store.read(lambda cursor: cursor.execute("SELECT 1").fetchone())
        return "answers"

    async def _ask_db(self) -> str:
        await self.db.run(lambda session: session.execute(text("SELECT 1")).one())
        return "answers"

    async def _ask_ingest(self) -> str:
        if not self.ingest.is_ready.is_set():
            raise Unavailable("ingest is not connected to the broker")
        if self.ingest.lag_s > LAG_S:
            raise Unavailable(f"ingest is {self.ingest.lag_s:.0f} s behind")
        return f"{self.ingest.lag_s:.1f} s behind"

    def _control(self) -> Control:
        admin = self.admin(self.ingest)

        async def status() -> Status:
            readiness = await self.probes().readiness()
            tenant = self.config.registry.tenant
            return Status(VERSION, os.getpid(), self.url, self.broker.url, tenant, readiness)

        return Control(status, admin.quarantined, admin.replay, admin.verify, self.make_claims, self.admit)

    def _stages(self) -> Iterable[StageCount]:
        counted = self.ingest.counters
        kept = {"duplicate": counted.duplicates, "quarantined": counted.quarantined, "fork": counted.forked}
        yield StageCount(
            "ingest",
            counted.received,
            counted.stored + counted.hellos,
            counted.waiting,
            {**kept, "unavailable": counted.unavailable, **counted.dropped},
            {"anchor_refused": counted.anchors_refused, "broker_restart": self.broker.restarts},
        )

    def _gauges(self) -> Iterable[Gauge]:
        counted = self.ingest.counters
        yield Gauge("milepost_derive_frames", "Frames taken by derive since the start", self.derive.frames)
        yield Gauge("milepost_derive_rewinds", "Times derive went back since the start", self.derive.rewinds)
        yield Gauge("milepost_ingest_lag_seconds", "Age of the frame taken in last", self.ingest.lag_s)
        yield Gauge("milepost_ingest_samples", "Samples stored since the start", counted.samples)
        yield Gauge("milepost_ingest_commits", "Commits since the start", counted.commits)
        yield Gauge("milepost_ingest_acks", "Acknowledgements sent to devices since the start", counted.acks)


def lock_directory(data_dir: Path) -> IO[str]:
    """Take the data directory for this process. `Unavailable` while another has it."""
    file = (data_dir / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        file.close()
        raise Unavailable(f"{data_dir}: another milepost-cloud works here; stop it, or talk to it") from err
    return file


async def serve(config: CloudConfig) -> None:
    """Run the service until SIGTERM or SIGINT."""
    check_deployment(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    cloud = Cloud(config)
    try:
        cloud.open()
        await cloud.serve(stop)
    finally:
        cloud.close()
