"""What every route of the fleet holds: its neighbours, narrowed to the caller's tenant."""

from datetime import datetime
from typing import NamedTuple

from cloud.db.scope import TenantDatabase
from cloud.fleet import vehicles
from cloud.fleet.neighbours import Live, Telemetry
from cloud.fleet.payloads import VehicleSummary
from cloud.fleet.registry import FleetRegistry
from cloud.fleet.tables import Vehicle
from cloud.fleet.vehicles import Clock, Known
from sync_protocol.errors import NotFound


class Fleet(NamedTuple):
    """The fleet of one tenant."""

    db: TenantDatabase
    registry: FleetRegistry
    telemetry: Telemetry
    live: Live
    clock: Clock

    def summary(self, known: Known, now: datetime) -> VehicleSummary:
        """One vehicle for a list."""
        device = self.registry.device_of(known.vehicle.id)
        live = self.live.now(known.vehicle.id)
        return vehicles.summary(known, live, None if device is None else device.name, now)

    async def vehicle(self, vehicle_id: int) -> Vehicle:
        """A vehicle of this tenant, or `NotFound`."""
        found = await self.db.run(lambda session: session.get(Vehicle, vehicle_id))
        if found is None:
            raise NotFound(f"There is no vehicle {vehicle_id}.")
        return found
