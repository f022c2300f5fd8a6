"""What the fleet's routes answer. Instants are UTC; names ending in `_ms` are milliseconds since 1970."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from cloud.facts import VehicleStatus

FaultStatus = Literal["stored", "pending", "permanent"]
SilenceReason = Literal[
    "ignition_off", "power", "killed", "no_network", "private", "disk_full", "updating", "shutdown", "unknown"
]


class State(msgspec.Struct, frozen=True):
    """What a vehicle is doing, and since when."""

    status: VehicleStatus
    since: datetime | None


class Position(msgspec.Struct, frozen=True):
    """The newest fix."""

    lat_deg: float
    lon_deg: float
    heading_deg: float | None
    speed_kmh: float | None
    ts: datetime


class VehicleSummary(msgspec.Struct, frozen=True):
    """A vehicle as lists and page heads show it. `last_seen` is the time of its newest sample."""

    id: int
    name: str
    plate: str | None
    vin: str | None
    make: str | None
    model: str | None
    year: int | None
    device_id: str | None
    state: State
    last_seen: datetime | None
    position: Position | None
    values: dict[str, float]
    fault_count: int


class VehiclePage(msgspec.Struct, frozen=True):
    """One page of vehicles, by name."""

    items: list[VehicleSummary]
    next_cursor: str | None


class VehicleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person may change of a vehicle; fields that are left out stay as they are, null takes a value away."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=80)] | msgspec.UnsetType = msgspec.UNSET
    plate: Annotated[str, msgspec.Meta(max_length=20)] | msgspec.UnsetType | None = msgspec.UNSET
    make: Annotated[str, msgspec.Meta(max_length=60)] | msgspec.UnsetType | None = msgspec.UNSET
    model: Annotated[str, msgspec.Meta(max_length=60)] | msgspec.UnsetType | None = msgspec.UNSET
    year: Annotated[int, msgspec.Meta(ge=1900, le=2100)] | msgspec.UnsetType | None = msgspec.UNSET


class CurrentValue(msgspec.Struct, frozen=True):
    """The newest sample of one signal, and how old it is."""

    signal: str
    value: float | bool | None
    unit: str
    ts: datetime
    age_s: float
    is_stale: bool
    text: str


class CurrentValues(msgspec.Struct, frozen=True):
    """Every signal that the vehicle has ever sent, in the catalogue's order."""

    vehicle_id: int
    values: list[CurrentValue]


class StateInterval(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """One stretch of a vehicle's life; `to` is null while it lasts."""

    status: VehicleStatus
    start: datetime
    end: datetime | None


class States(msgspec.Struct, frozen=True):
    """Stretches in the order of time."""

    items: list[StateInterval]


class FrozenValue(msgspec.Struct, frozen=True):
    """A signal as the engine computer measured it when it set a trouble code."""

    signal: str
    value: float | bool
    unit: str
    text: str


class VehicleFault(msgspec.Struct, frozen=True):
    """One spell of a trouble code. `text` says at least what the digits of the code tell.

    `freeze`: the freeze frame in the catalogue's order; empty where the vehicle keeps none for this code.
    """

    code: str
    status: FaultStatus
    text: str | None
    first_seen: datetime
    last_seen: datetime
    cleared_at: datetime | None
    freeze: list[FrozenValue]


class Faults(msgspec.Struct, frozen=True):
    """Standing ones first, then the newest."""

    items: list[VehicleFault]


class VehicleEvent(msgspec.Struct, frozen=True):
    """Something that happened; `device_id` and `seq` name the frame that brought it."""

    ts: datetime
    kind: str
    data: dict[str, Any]
    device_id: str
    seq: int


class EventPage(msgspec.Struct, frozen=True):
    """One page of events, newest first."""

    items: list[VehicleEvent]
    next_cursor: str | None


class Series(msgspec.Struct, frozen=True):
    """One signal over time. A null value is a gap: the line breaks. `min` and `max` bound what a point stands for."""

    signal: str
    unit: str
    ts_ms: list[int]
    value: list[float | None]
    min: list[float | None] | None
    max: list[float | None] | None


class History(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """Signals over a range, from the raw samples or from the minute or hour tier."""

    start: datetime
    end: datetime
    tier: Literal["raw", "1m", "1h"]
    series: list[Series]


class Extreme(msgspec.Struct, frozen=True):
    """A value and when it was first reached, in the unit of its signal."""

    value: float
    ts: datetime


class SignalExtremes(msgspec.Struct, frozen=True):
    """The lowest and the highest value of one signal; null where it was not measured in the range."""

    signal: str
    unit: str
    lowest: Extreme | None
    highest: Extreme | None


class Extremes(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """Extremes over a range. Values are exact; their times, and the ends of the range, are true to `within_s`."""

    start: datetime
    end: datetime
    within_s: int
    items: list[SignalExtremes]


class Track(msgspec.Struct, frozen=True):
    """Where the vehicle was: equally long columns, in the order of time."""

    ts_ms: list[int]
    lat_deg: list[float]
    lon_deg: list[float]
    speed_kmh: list[float | None]


class Lease(msgspec.Struct, frozen=True):
    """For so long the vehicle sends a frame a second; renew before it ends."""

    lease_s: int


class FrameTotals(msgspec.Struct, frozen=True):
    """Frames by their fate. Every number from 1 on is exactly one of these."""

    stored: int
    pending: int
    lost: int
    quarantined: int


class DeviceSummary(msgspec.Struct, frozen=True):
    """A device and the fate of its frames."""

    id: str
    vehicle_id: int | None
    vehicle_name: str | None
    agent_version: str | None
    last_seen: datetime | None
    totals: FrameTotals
    is_forked: bool


class Devices(msgspec.Struct, frozen=True):
    """All devices, by name."""

    items: list[DeviceSummary]


class LostFrames(msgspec.Struct, frozen=True):
    """Frames `first` to `last` that the device no longer has, with its reason."""

    first: int
    last: int
    reason: str


class StreamLedgerView(msgspec.Struct, frozen=True):
    """One stream: ranges of sequence numbers by fate, both ends included."""

    stream_id: str
    is_active: bool
    first_seen: datetime
    last_seen: datetime
    last_seq: int
    boots: int
    stored: list[tuple[int, int]]
    pending: list[tuple[int, int]]
    lost: list[LostFrames]
    quarantined: list[tuple[int, int]]
    forked: list[int]


class Silence(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """A time without samples, with the device's own reason; `to` is null while it lasts."""

    start: datetime
    end: datetime | None
    reason: SilenceReason


class LimitHit(msgspec.Struct, frozen=True):
    """A limit that the device ran into: frames beyond it wait on the device. It lasts as long as `last_seen` moves."""

    kind: str
    detail: str
    opened: datetime
    last_seen: datetime
    times: int


class PlacedBoot(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """A boot whose time nobody ever told, put between its neighbours: right to `uncertainty_s` either way.

    Null: there is no boot before it, so it may lie any time earlier.
    """

    stream_id: str
    boot: int
    start: datetime
    end: datetime
    uncertainty_s: float | None


class DeviceLedger(msgspec.Struct, frozen=True):
    """The whole account of a device."""

    device_id: str
    as_of: datetime
    totals: FrameTotals
    streams: list[StreamLedgerView]
    silences: list[Silence]
    limits: list[LimitHit]
    placed: list[PlacedBoot]


class SignalInfo(msgspec.Struct, frozen=True):
    """A row of the signal catalogue. `resolution` is what one step of the raw integer is worth, exactly."""

    id: int
    name: str
    unit: str
    type: str
    resolution: str
    min: float
    max: float
    period_s: float
    stale_s: float
    vss: str
    pid: str | None
    text: str


class Signals(msgspec.Struct, frozen=True):
    """The signal catalogue."""

    version: int
    items: list[SignalInfo]


class VehicleCounts(msgspec.Struct, frozen=True):
    """Vehicles by what they are doing now."""

    total: int
    driving: int
    idling: int
    parked: int
    silent: int
    unknown: int


class Summary(msgspec.Struct, frozen=True):
    """The fleet at a glance, with the promise: `doubled` counts frames stored more than once."""

    vehicles: VehicleCounts
    frames: FrameTotals
    samples: int
    doubled: int
