"""What the fleet asks of telemetry and live, already narrowed to one tenant; `cloud/reads.py` binds the real ones."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from cloud.facts import VehicleStatus
from cloud.fleet.payloads import FrameTotals, History, LimitHit, PlacedBoot, StreamLedgerView, Track
from cloud.http.parameters import EventKey
from sync_protocol.signals import Signal


class VehicleNow(NamedTuple):
    """The newest values of a vehicle: {signal name: (value in its unit, ts_ms)}; `ts_ms` is the newest of all."""

    ts_ms: int
    values: Mapping[str, tuple[float, int]]


class EventRow(NamedTuple):
    """One event as stored. Events of a boot that has no time yet are not asked for."""

    ts: datetime
    kind: str
    data: dict[str, Any]
    device_id: int
    stream_no: int
    seq: int
    ordinal: int


class DeviceAccount(NamedTuple):
    """The frames of one device, added up."""

    totals: FrameTotals
    last_seen: datetime | None
    is_forked: bool


class Span(NamedTuple):
    """A stretch of samples of a device without a gap beyond a minute, UTC in ms, both ends included."""

    first_ms: int
    last_ms: int


class DeviceBook(NamedTuple):
    """What the ledger page of a device is made of.

    Streams, stretches and events are oldest first; limits it ran into and placed boots latest first.
    """

    streams: list[StreamLedgerView]
    spans: list[Span]
    events: list[EventRow]
    limits: list[LimitHit]
    placed: list[PlacedBoot]


class FleetTotals(NamedTuple):
    """All frames and samples of the tenant; `doubled` counts frames stored more than once."""

    frames: FrameTotals
    samples: int
    doubled: int


class Telemetry(Protocol):
    """Questions to the telemetry store."""

    async def history(
        self, vehicle_id: int, signals: Sequence[Signal], start: datetime, end: datetime, points: int
    ) -> History:
        """Signals over a range, downsampled to about `points` so that the shape survives."""
        ...

    async def track(self, vehicle_id: int, start: datetime, end: datetime, points: int) -> Track:
        """Where a vehicle was."""
        ...

    async def events(
        self, vehicle_id: int, start: datetime, end: datetime, kinds: Sequence[str], limit: int, before: EventKey | None
    ) -> list[EventRow]:
        """Events of a vehicle, newest first, those that sort before a key."""
        ...

    async def accounts(self) -> Mapping[int, DeviceAccount]:
        """Every device's frames, added up."""
        ...

    async def ledger(self, device_id: int, kinds: Sequence[str], since: datetime) -> DeviceBook:
        """Every stream of a device, when it sampled, and its events of some kinds."""
        ...

    async def totals(self) -> FleetTotals:
        """All frames and samples."""
        ...


class Live(Protocol):
    """The newest values in memory."""

    def now(self, vehicle_id: int) -> VehicleNow | None:
        """The newest values of a vehicle, None when it has never sent any."""
        ...

    def newest(self, vehicle_ids: Sequence[int], names: Sequence[str]) -> Mapping[int, VehicleNow]:
        """The newest values of some signals, of those of the vehicles that have ever sent any."""
        ...

    def status(self, vehicle_id: int) -> VehicleStatus:
        """What a vehicle does now."""
        ...

    async def watch(self, vehicle_id: int) -> int:
        """Ask the vehicle for a frame a second; returns for how many seconds."""
        ...
