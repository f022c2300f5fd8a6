"""What the stages of the cloud tell each other: shared row types, and the Protocols behind which each keeps its own.

Times named `ts_us` are microseconds of UTC since 1970, `ts_ms` milliseconds; `boot_ms` is device time.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from sync_protocol.header import Header
from sync_protocol.messages import Event, Hello, Meta

T = TypeVar("T")

VehicleStatus = Literal["driving", "idling", "parked", "silent", "unknown"]
TimeSource = Literal["gps", "ntp", "cloud", "rtc", "guess", "placed"]
"""Where a boot's UTC comes from, best first; `placed`: no anchor ever came, put between the neighbouring boots."""


class DeviceRef(msgspec.Struct, frozen=True):
    """A registered device. `tenant` and `name` are the words of its NATS subject."""

    id: int
    tenant_id: int
    tenant: str
    name: str


class Registry(Protocol):
    """Who is who, over the relational database. Called for every frame by ingest's threads: answers from memory."""

    def device(self, tenant: str, name: str) -> DeviceRef | None:
        """The device behind a subject; registered on sight when the configuration says so, else None."""
        ...

    def meet(self, names: Sequence[tuple[str, str]]) -> None:
        """Register all of these (tenant, device) that are new and may register on sight, in one transaction."""
        ...

    def device_by_id(self, device_id: int) -> DeviceRef | None:
        """The device with this id."""
        ...

    def device_of(self, vehicle_id: int) -> DeviceRef | None:
        """The device that sits in a vehicle now."""
        ...

    def vehicle_at(self, device_id: int, ts_us: int) -> int | None:
        """The vehicle a device sat in at a time."""
        ...

    def hello(self, device: DeviceRef, hello: Hello) -> None:
        """Take note of what a device says about itself: agent version, VIN."""
        ...


class Order(NamedTuple):
    """Place of a frame in a device's life. Later frames compare greater; never ordered by time."""

    stream_no: int
    boot: int
    seq: int


class FrameRow(NamedTuple):
    """A frame that ingest accepted: new in its stream, decodable. `data` is the whole frame as it was sent."""

    device: DeviceRef
    stream_no: int
    header: Header
    meta: Meta
    crc: int
    received_us: int
    data: bytes


class Samples(NamedTuple):
    """Samples of several frames in long form, as `sync_protocol.codec.Chunk` has them.

    row_frame, row_ms: (R,) frame (a position in some list) and device time of each row; frames in order.
    cell_row, cell_signal, cell_raw: (C,) row, signal id and raw value of each sample.
    """

    row_frame: NDArray[np.int32]
    row_ms: NDArray[np.int64]
    cell_row: NDArray[np.int32]
    cell_signal: NDArray[np.int16]
    cell_raw: NDArray[np.int64]


class StreamRow(NamedTuple):
    """What is known of a stream beside its ranges."""

    stream_no: int
    tenant_id: int
    device_id: int
    stream_id: bytes
    first_seen_us: int
    last_seen_us: int
    is_active: bool


RangeState = Literal["stored", "lost", "quarantined", "forked", "spoken_of"]


class RangeRow(NamedTuple):
    """Sequence numbers of a stream that are in one state. `spoken_of` is 1 to the highest number anyone has named."""

    stream_no: int
    state: RangeState
    first: int
    last: int
    reason: str | None


class AnchorRow(NamedTuple):
    """A time anchor as it stands in the store; `seq` is 0 when no frame carried it."""

    stream_no: int
    boot: int
    seq: int
    boot_ms: int
    utc_ms: int
    source: TimeSource
    uncertainty_ms: int


class UnplacedBoot(NamedTuple):
    """A boot that has no anchor and lies before one that has. Device times in ms, neighbours' ends in ms of UTC.

    `closes_at`: the stream and seq before which nothing may be pending for the boot to be over.
    """

    stream_no: int
    boot: int
    first_ms: int
    last_ms: int
    previous_end_ms: int | None
    next_start_ms: int
    closes_at: tuple[int, int]


QuarantineKind = Literal["undecodable", "fork", "foreign_stream", "unavailable", "bad_hello"]


class QuarantineRow(NamedTuple):
    """Bytes that are not a stored frame, kept as they came. `stream_no` and `seq` where their header could be read."""

    device: DeviceRef
    stream_no: int | None
    seq: int | None
    crc: int
    kind: QuarantineKind
    reason: str
    received_us: int
    data: bytes


class AlertRow(NamedTuple):
    """A limit that a device ran into."""

    device: DeviceRef
    kind: str
    detail: str
    seen_us: int


class Committed(NamedTuple):
    """What a commit did beside storing frames: the devices whose rows were moved in time."""

    retimed: frozenset[int]


class Batch(NamedTuple):
    """One commit: everything that messages up to a point changed. `ranges` replace what their streams had before."""

    frames: Sequence[FrameRow]
    samples: Samples
    streams: Sequence[StreamRow]
    boots: Sequence[tuple[int, int, int, int]]
    """(stream_no, boot, first seq seen, received_us) of boots that are new."""
    ranges: Mapping[int, Sequence[RangeRow]]
    anchors: Sequence[AnchorRow]
    quarantined: Sequence[QuarantineRow]
    alerts: Sequence[AlertRow]
    late: Mapping[int, tuple[int, int]]
    """device_id: (stream_no, seq) of its earliest frame that came after a later one."""
    live: Sequence["LiveUpdate"]


class LiveUpdate(NamedTuple):
    """The newest values that frames bring for vehicles, in the order of the frames: one list entry for each frame.

    cell_frame, cell_signal, cell_value, cell_ms: (K,) index of the frame, signal id, value in its unit, UTC in ms.
    """

    tenant_ids: Sequence[int]
    vehicle_ids: Sequence[int]
    device_ids: Sequence[int]
    orders: Sequence[Order]
    ts_ms: Sequence[int]
    cell_frame: NDArray[np.int64]
    cell_signal: NDArray[np.int16]
    cell_value: NDArray[np.float64]
    cell_ms: NDArray[np.int64]


class DerivedFrame(NamedTuple):
    """A frame as derive sees it: rows of the signals that its steps asked for, in time, and the events.

    ts_us: (R,) UTC of each instant, rising. values: {signal name: (R,) value in its unit, NaN where not read}.
    events: (ts_us, event) each. vehicle_id is None while the device sits in no vehicle.
    """

    tenant_id: int
    device_id: int
    vehicle_id: int | None
    order: Order
    ts_us: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    events: Sequence[tuple[int, Event]]


class Step(Protocol):
    """A capability's part of derive, offered in `<capability>/step.py`.

    `name` keys its state in the device's cursor; `signals` are the ones it reads; the state is any msgspec-encodable
    value (a Struct of `state_type`).
    """

    name: str
    signals: tuple[str, ...]
    state_type: type[Any]

    def start(self) -> Any:
        """The state before a device's first frame."""
        ...

    def apply(self, state: Any, frame: DerivedFrame, session: Session) -> Any:
        """Take in the next frame: write outputs to the session, return the new state. Pure but for the session."""
        ...

    def is_boundary(self, state: Any) -> bool:
        """Whether a rewind may come back to this state (nothing is in the middle of happening)."""
        ...

    def rewind(self, state: Any, device_id: int, session: Session) -> None:
        """Take back every output of this device that was made after `state`."""
        ...


class CursorRow(msgspec.Struct):
    """How far derive has come with one device; `state` is opaque (steps' states and rewind points)."""

    device_id: int
    tenant_id: int
    stream_no: int
    seq: int
    state: bytes


class CursorStore(Protocol):
    """Derive's cursors in the relational database; both calls run inside the caller's transaction."""

    def load(self, session: Session) -> Sequence[CursorRow]:
        """All cursors."""
        ...

    def save(self, session: Session, rows: Sequence[CursorRow]) -> None:
        """Insert or replace."""
        ...


class Relational(Protocol):
    """The relational database as derive needs it (`cloud.db.engine.Database`)."""

    def write(self, fn: Callable[[Session], T]) -> Awaitable[T]:
        """Run `fn` in one transaction; commit when it returns."""
        ...

    def run(self, fn: Callable[[Session], T]) -> Awaitable[T]:
        """Run `fn` over one snapshot."""
        ...
