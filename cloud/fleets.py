"""The fleet of each tenant: the one place where the caller's tenant narrows database, store and live to itself."""

from datetime import UTC, datetime

from cloud.db.engine import Database
from cloud.db.scope import TenantDatabase
from cloud.fleet.registry import FleetRegistry
from cloud.fleet.service import Fleet
from cloud.live.hub import LiveHub
from cloud.reads import LiveReads, TelemetryReads
from cloud.telemetry.store import TelemetryStore


class Fleets:
    """A `Fleet` for each tenant that asks; made once, because its answers are kept for a moment."""

    def __init__(self, db: Database, registry: FleetRegistry, store: TelemetryStore, hub: LiveHub) -> None:
        self._db = db
        self._registry = registry
        self._store = store
        self._hub = hub
        self._fleets: dict[int, Fleet] = {}

    def of(self, tenant_id: int) -> Fleet:
        """What one tenant sees."""
        fleet = self._fleets.get(tenant_id)
        if fleet is None:
            fleet = self._fleets[tenant_id] = Fleet(
                db=TenantDatabase(self._db, tenant_id),
                registry=self._registry,
                telemetry=TelemetryReads(self._store, tenant_id),
                live=LiveReads(self._hub, tenant_id),
                clock=lambda: datetime.now(UTC),
            )
        return fleet
