"""What every route of the fleet holds: its neighbours, narrowed to the caller's tenant."""

from typing import NamedTuple

from cloud.db.scope import TenantDatabase
from cloud.fleet import vehicles
from cloud.fleet.neighbours import Live, Telemetry
from cloud.fleet.payloads import VehicleSummary
from cloud.fleet.registry import FleetRegistry
from cloud.fleet.tables import Vehicle
from cloud.fleet.vehicles import Clock, Known
from sync_protocol.errors import NotFound

LIST_AND_POSITION = (*vehicles.LIST_SIGNALS, *vehicles.POSITION_SIGNALS)


class Fleet(NamedTuple):
    """The fleet of one tenant."""

    db: TenantDatabase
    registry: FleetRegistry
    telemetry: Telemetry
    live: Live
    clock: Clock

    def summary(self, known: Known) -> VehicleSummary:
        """One vehicle for a list."""
        number = known.vehicle.id
        device = self.registry.device_of(number)
        name = None if device is None else device.name
        live = self.live.now(number, LIST_AND_POSITION)
        return vehicles.summary(known, live, self.live.status(number), name)

    async def vehicle(self, vehicle_id: int) -> Vehicle:
        """A vehicle of this tenant, or `NotFound`."""
        found = await self.db.run(lambda session: session.get(Vehicle, vehicle_id))
        if found is None:
            raise NotFound(f"There is no vehicle {vehicle_id}.")
        return found
