"""What every route of the fleet holds: its neighbours, narrowed to the caller's tenant."""

from collections.abc import Sequence
from typing import NamedTuple

from cloud.db.scope import TenantDatabase
from cloud.fleet import vehicles
from cloud.fleet.neighbours import Live, Telemetry
from cloud.fleet.payloads import VehicleSummary
from cloud.fleet.registry import FleetRegistry
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

    def summaries(self, known: Sequence[Known]) -> list[VehicleSummary]:
        """Vehicles for a list."""
        now = self.clock()
        news = self.live.newest([one.vehicle.id for one in known], LIST_AND_POSITION)
        out: list[VehicleSummary] = []
        for one in known:
            number = one.vehicle.id
            device = self.registry.device_of(number)
            name = None if device is None else device.name
            out.append(vehicles.summary(one, news.get(number), self.live.status(number), name, now))
        return out

    def require(self, vehicle_id: int) -> None:
        """`NotFound` unless this tenant has the vehicle."""
        if not self.registry.has_vehicle(self.db.tenant_id, vehicle_id):
            raise NotFound(f"There is no vehicle {vehicle_id}.")
