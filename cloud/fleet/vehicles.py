"""Vehicles as pages show them: what the database knows, joined with the newest values in memory."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.orm import Session

from cloud.facts import VehicleStatus
from cloud.fleet.neighbours import VehicleNow
from cloud.fleet.payloads import CurrentValue, CurrentValues, FrozenValue, Position, State, VehicleSummary
from cloud.fleet.tables import Fault, Vehicle, VehicleState
from cloud.http.parameters import PageKey
from cloud.latest import holds_ms
from sync_protocol.signals import catalogue

# The values that a list shows beside a vehicle's name.
LIST_SIGNALS = ("speed_kmh", "engine_rpm", "fuel_level_pct", "coolant_c", "battery_v")
POSITION_SIGNALS = ("lat_deg", "lon_deg", "heading_deg", "gps_speed_kmh")
_HOLDS_MS = {name: holds_ms(name) for name in (*LIST_SIGNALS, *POSITION_SIGNALS)}
_BESIDE_MS = 15_000
# Beyond so many vehicles a scan of what stands open beats a list of ids.
_LISTED = 500
UNKNOWN = State("unknown", None)


class Record(NamedTuple):
    """What people and the vehicle itself have told about it. Columns, not an entity: a third of the cost in a list."""

    id: int
    name: str
    plate: str | None
    vin: str | None
    make: str | None
    model: str | None
    year: int | None


_RECORD = select(*(getattr(Vehicle, name) for name in Record._fields))


class Known(NamedTuple):
    """What the database knows of one vehicle."""

    vehicle: Record
    state: State
    faults: int


def page(session: Session, q: str | None, limit: int, after: PageKey | None) -> list[Known]:
    """Vehicles by name, `limit` + 1 of them at most; the last tells that there are more."""
    query = _RECORD.order_by(Vehicle.name, Vehicle.id).limit(limit + 1)
    if after is not None:
        query = query.where(tuple_(Vehicle.name, Vehicle.id) > (after.key, after.number))
    if q:
        columns = (Vehicle.name, Vehicle.plate, Vehicle.vin, Vehicle.make, Vehicle.model)
        query = query.where(or_(*(column.icontains(q, autoescape=True) for column in columns)))
    return known(session, [Record(*row) for row in session.execute(query)])


def one(session: Session, vehicle_id: int) -> Known | None:
    """One vehicle, None when there is none of this number."""
    row = session.execute(_RECORD.where(Vehicle.id == vehicle_id)).one_or_none()
    return None if row is None else known(session, [Record(*row)])[0]


def known(session: Session, vehicles: Sequence[Record]) -> list[Known]:
    """States and counts of standing faults for some vehicles, in two queries."""
    states = (
        select(VehicleState.vehicle_id, VehicleState.status, VehicleState.since)
        .where(VehicleState.until.is_(None))
        .order_by(VehicleState.since)
    )
    faults = (
        select(Fault.vehicle_id, func.count(func.distinct(Fault.code)).label("codes"))
        .where(Fault.cleared_at.is_(None))
        .group_by(Fault.vehicle_id)
    )
    if len(vehicles) <= _LISTED:
        ids = [vehicle.id for vehicle in vehicles]
        states = states.where(VehicleState.vehicle_id.in_(ids))
        faults = faults.where(Fault.vehicle_id.in_(ids))
    open_states = {row.vehicle_id: State(status_word(row.status), row.since) for row in session.execute(states)}
    counts: dict[int, int] = {row.vehicle_id: row.codes for row in session.execute(faults)}
    return [Known(v, open_states.get(v.id, UNKNOWN), counts.get(v.id, 0)) for v in vehicles]


def status_word(text: str) -> VehicleStatus:
    """A stored status as one of our words."""
    match text:
        case "driving" | "idling" | "parked" | "silent":
            return text
    return "unknown"


def state_now(derived: State, status: VehicleStatus, last_seen: datetime | None) -> State:
    """What the vehicle does by its newest values, since when derive knows it; a silent one since its last sample."""
    if last_seen is None:
        return derived
    if status == "silent":
        return State(status, last_seen)
    return derived if derived.status == status else State(status, None)


def summary(
    known: Known, live: VehicleNow | None, status: VehicleStatus, device: str | None, now: datetime
) -> VehicleSummary:
    """Join one vehicle's record with those of its newest values that still hold."""
    vehicle = known.vehicle
    last_seen = None if live is None else utc(live.ts_ms)
    now_ms = now.timestamp() * 1000
    return VehicleSummary(
        id=vehicle.id,
        name=vehicle.name,
        plate=vehicle.plate,
        vin=vehicle.vin,
        make=vehicle.make,
        model=vehicle.model,
        year=vehicle.year,
        device_id=device,
        state=state_now(known.state, status, last_seen),
        last_seen=last_seen,
        position=None if live is None else position(live, now_ms),
        values={} if live is None else holding(live, now_ms),
        fault_count=known.faults,
    )


def holding(live: VehicleNow, now_ms: float) -> dict[str, float]:
    """Those of a list's values that are not older than their signal stays true, plus the period of a frame.

    A parked vehicle has no speed: the last one that it sent is long over.
    """
    values = live.values
    return {
        name: read[0]
        for name in LIST_SIGNALS
        if (read := values.get(name)) is not None and now_ms - read[1] <= _HOLDS_MS[name]
    }


def position(live: VehicleNow, now_ms: float) -> Position | None:
    """The newest fix among the newest values; it stays where the vehicle was seen last, its speed does not."""
    values = live.values
    lat, lon = values.get("lat_deg"), values.get("lon_deg")
    if lat is None or lon is None:
        return None
    # Beside a fix stands what was read at about its own time; an older heading points somewhere else.
    fix_ms = lat[1]
    heading = values.get("heading_deg")
    heading_deg = heading[0] if heading is not None and abs(heading[1] - fix_ms) <= _BESIDE_MS else None
    speed_kmh = None
    for name in ("speed_kmh", "gps_speed_kmh"):
        read = values.get(name)
        if read is not None and now_ms - read[1] <= _HOLDS_MS[name] and abs(read[1] - fix_ms) <= _BESIDE_MS:
            speed_kmh = read[0]
            break
    return Position(lat[0], lon[0], heading_deg, speed_kmh, utc(fix_ms))


def current_values(vehicle_id: int, live: VehicleNow | None, now: datetime) -> CurrentValues:
    """The newest sample of each signal, with its age."""
    values: list[CurrentValue] = []
    for signal in catalogue().signals if live is not None else ():
        assert live is not None
        found = live.values.get(signal.name)
        if found is None:
            continue
        raw, ts_ms = found
        age_s = max(0.0, now.timestamp() - ts_ms / 1000)
        values.append(
            CurrentValue(
                signal=signal.name,
                value=bool(raw) if signal.type == "boolean" else raw,
                unit=signal.unit,
                ts=utc(ts_ms),
                age_s=round(age_s, 1),
                is_stale=age_s > signal.stale_s,
                text=signal.text,
            )
        )
    return CurrentValues(vehicle_id, values)


def frozen(freeze: Mapping[str, float]) -> list[FrozenValue]:
    """A freeze frame, in the catalogue's order."""
    return [
        FrozenValue(signal.name, bool(value) if signal.type == "boolean" else value, signal.unit, signal.text)
        for signal in catalogue().signals
        if (value := freeze.get(signal.name)) is not None
    ]


def utc(ts_ms: int) -> datetime:
    """Milliseconds since 1970 as an aware instant."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC)


Clock = Callable[[], datetime]
