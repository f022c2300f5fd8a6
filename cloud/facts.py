"""What the stages of the cloud tell each other: shared row types, and the Protocols behind which each keeps its own.

Times named `ts_us` are microseconds of UTC since 1970, `ts_ms` milliseconds; `boot_ms` is device time.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from sync_protocol.messages import Event, Hello

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
    """Who is who. Implemented over the relational database, cached; called from ingest's threads, must not block long."""

    def device(self, tenant: str, name: str) -> DeviceRef | None:
        """The device behind a subject; registered on sight when the configuration says so, else None."""
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


class LiveUpdate(NamedTuple):
    """The newest values that one frame brings for a vehicle: {signal name: (value in its unit, ts_ms)}."""

    tenant_id: int
    vehicle_id: int
    device_id: int
    order: Order
    ts_ms: int
    values: Mapping[str, tuple[float, int]]


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
        """Take back every output of this device that was made after `state`, so that the session shows what it did then."""
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
