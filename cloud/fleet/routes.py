"""HTTP: vehicles, what they do now and did, their trouble codes; the watch lease."""

from datetime import timedelta
from typing import Annotated

from litestar import get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
import msgspec
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from cloud.fleet import vehicles
from cloud.fleet.payloads import (
    CurrentValues,
    Faults,
    FaultStatus,
    Lease,
    StateInterval,
    States,
    VehicleChange,
    VehicleFault,
    VehiclePage,
    VehicleSummary,
)
from cloud.fleet.service import Fleet
from cloud.fleet.tables import Fault, Vehicle, VehicleState
from cloud.http.parameters import PageKey, read_cursor, span, write_cursor
from cloud.http.problem import PROBLEMS
from cloud.identity.policy import Action
from sync_protocol.errors import NotFound
from sync_protocol.trouble_codes import text_of

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows of a page")]
From = Annotated[str | None, QueryParameter(name="from", description="Start, ISO 8601 with zone; included")]
To = Annotated[str | None, QueryParameter(name="to", description="End, ISO 8601 with zone; not included")]
Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the page before")]
Search = Annotated[str | None, QueryParameter(max_length=80, description="Part of name, plate, VIN, make or model")]


@get("/vehicles", action=Action.READ_FLEET, responses=PROBLEMS, tags=["vehicles"])
async def list_vehicles(
    fleet: NamedDependency[Fleet], limit: Limit = 100, cursor: Cursor = None, q: Search = None
) -> VehiclePage:
    """Vehicles by name, a page at a time."""
    after = read_cursor(cursor, PageKey)
    found = await fleet.db.run(lambda session: vehicles.page(session, q, limit, after))
    items = fleet.summaries(found[:limit])
    more = len(found) > limit
    return VehiclePage(items, write_cursor(PageKey(items[-1].name, items[-1].id)) if more else None)


@get("/vehicles/{vehicle_id:int}", action=Action.READ_FLEET, responses=PROBLEMS, tags=["vehicles"])
async def get_vehicle(fleet: NamedDependency[Fleet], vehicle_id: FromPath[int]) -> VehicleSummary:
    """One vehicle."""
    return await _summary(fleet, vehicle_id)


@patch("/vehicles/{vehicle_id:int}", action=Action.CHANGE_VEHICLE, responses=PROBLEMS, tags=["vehicles"])
async def change_vehicle(
    fleet: NamedDependency[Fleet], vehicle_id: FromPath[int], data: JSONBody[VehicleChange]
) -> VehicleSummary:
    """Change what people write about a vehicle; fields left out stay as they are."""
    changes = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET}

    def write(session: Session) -> None:
        vehicle = session.get(Vehicle, vehicle_id)
        if vehicle is None:
            raise NotFound(f"There is no vehicle {vehicle_id}.")
        for name, value in changes.items():
            setattr(vehicle, name, value)

    await fleet.db.write(write)
    return await _summary(fleet, vehicle_id)


@get("/vehicles/{vehicle_id:int}/state", action=Action.READ_FLEET, responses=PROBLEMS, tags=["vehicles"])
async def get_current_values(fleet: NamedDependency[Fleet], vehicle_id: FromPath[int]) -> CurrentValues:
    """The newest sample of each signal, with its age."""
    fleet.require(vehicle_id)
    return vehicles.current_values(vehicle_id, fleet.live.now(vehicle_id), fleet.clock())


@get("/vehicles/{vehicle_id:int}/states", action=Action.READ_HISTORY, responses=PROBLEMS, tags=["vehicles"])
async def list_states(
    fleet: NamedDependency[Fleet], vehicle_id: FromPath[int], from_: From = None, to: To = None
) -> States:
    """What the vehicle did, stretch by stretch; without a range the last day."""
    fleet.require(vehicle_id)
    asked = span(from_, to, now=fleet.clock(), default=timedelta(days=1))

    def read(session: Session) -> list[StateInterval]:
        rows = session.scalars(
            select(VehicleState)
            .where(
                VehicleState.vehicle_id == vehicle_id,
                VehicleState.since < asked.end,
                or_(VehicleState.until.is_(None), VehicleState.until > asked.start),
            )
            .order_by(VehicleState.since)
        )
        return [StateInterval(vehicles.status_word(row.status), row.since, row.until) for row in rows]

    return States(await fleet.db.run(read))


@get("/vehicles/{vehicle_id:int}/faults", action=Action.READ_FLEET, responses=PROBLEMS, tags=["vehicles"])
async def list_faults(
    fleet: NamedDependency[Fleet], vehicle_id: FromPath[int], active: FromQuery[bool | None] = None
) -> Faults:
    """Trouble codes: with `active=true` those that stand, with `false` those that were cleared, else all."""
    fleet.require(vehicle_id)

    def read(session: Session) -> list[VehicleFault]:
        query = select(Fault).where(Fault.vehicle_id == vehicle_id)
        if active is not None:
            query = query.where(Fault.cleared_at.is_(None) if active else Fault.cleared_at.is_not(None))
        rows = session.scalars(query.order_by(Fault.cleared_at.is_not(None), Fault.last_seen.desc(), Fault.code)).all()
        return [
            VehicleFault(
                code=row.code,
                status=_fault_status(row.status),
                text=text_of(row.code),
                first_seen=row.first_seen,
                last_seen=row.last_seen,
                cleared_at=row.cleared_at,
                freeze=vehicles.frozen(row.freeze or {}),
            )
            for row in rows
        ]

    return Faults(await fleet.db.run(read))


@post(
    "/vehicles/{vehicle_id:int}/watch",
    action=Action.WATCH_VEHICLE,
    status_code=202,
    responses=PROBLEMS,
    tags=["vehicles"],
)
async def watch_vehicle(fleet: NamedDependency[Fleet], vehicle_id: FromPath[int]) -> Lease:
    """Ask the vehicle for a frame a second while somebody looks; renew before the lease ends."""
    fleet.require(vehicle_id)
    return Lease(await fleet.live.watch(vehicle_id))


async def _summary(fleet: Fleet, vehicle_id: int) -> VehicleSummary:
    found = await fleet.db.run(lambda session: vehicles.one(session, vehicle_id))
    if found is None:
        raise NotFound(f"There is no vehicle {vehicle_id}.")
    return fleet.summaries([found])[0]


def _fault_status(text: str) -> FaultStatus:
    return text if text in ("pending", "permanent") else "stored"  # type: ignore[return-value]  # a literal's word


ROUTES = [
    list_vehicles,
    get_vehicle,
    change_vehicle,
    get_current_values,
    list_states,
    list_faults,
    watch_vehicle,
]
