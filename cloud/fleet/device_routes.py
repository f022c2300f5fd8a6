"""HTTP: devices and their delivery ledger, the signal catalogue, the fleet at a glance."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from hashlib import sha256

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath
import msgspec
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from cloud.facts import DeviceRef
from cloud.fleet.neighbours import DeviceAccount
from cloud.fleet.payloads import (
    DeviceLedger,
    Devices,
    DeviceSummary,
    FrameTotals,
    SignalInfo,
    Signals,
    StreamLedgerView,
    Summary,
    VehicleCounts,
)
from cloud.fleet.service import Fleet
from cloud.fleet.silences import EVENT_KINDS, silences
from cloud.fleet.tables import Device, Vehicle
from cloud.http.problem import PROBLEMS
from cloud.identity.policy import Action
from sync_protocol.errors import NotFound
from sync_protocol.signals import catalogue

LEDGER_SILENCES = timedelta(days=30)
_LISTED = select(Device.id, Device.name, Device.agent_version).where(Device.removed.is_(None)).order_by(Device.name)
NO_FRAMES = DeviceAccount(FrameTotals(0, 0, 0, 0), None, False)


@get("/devices", action=Action.READ_DEVICES, responses=PROBLEMS, tags=["devices"])
async def list_devices(fleet: NamedDependency[Fleet]) -> Devices:
    """All devices by name, with the fate of their frames."""
    return Devices(await _devices(fleet))


@get("/devices/{device_id:str}", action=Action.READ_DEVICES, responses=PROBLEMS, tags=["devices"])
async def get_device(fleet: NamedDependency[Fleet], device_id: FromPath[str]) -> DeviceSummary:
    """One device, by its name."""
    _device(fleet, device_id)
    return next(device for device in await _devices(fleet) if device.id == device_id)


@get("/devices/{device_id:str}/ledger", action=Action.READ_DEVICES, responses=PROBLEMS, tags=["devices"])
async def get_ledger(fleet: NamedDependency[Fleet], device_id: FromPath[str]) -> DeviceLedger:
    """Where every frame of a device is, range by range, and why the device was silent when it was."""
    device = _device(fleet, device_id)
    now = fleet.clock()
    since = now - LEDGER_SILENCES
    book = await fleet.telemetry.ledger(device.id, EVENT_KINDS, since)
    return DeviceLedger(
        device.name,
        now,
        _totals(book.streams),
        book.streams,
        silences(book.spans, book.events, now),
        book.limits,
        book.placed,
    )


@get("/signals", action=Action.READ_CATALOGUE, responses=PROBLEMS, tags=["signals"])
async def list_signals(request: Request[object, object, State]) -> Response[Signals]:
    """The signal catalogue."""
    items = [
        SignalInfo(
            id=s.id,
            name=s.name,
            unit=s.unit,
            type=s.type,
            resolution=s.scale,
            min=s.min,
            max=s.max,
            period_s=s.period_s,
            stale_s=s.stale_s,
            vss=s.vss,
            pid=None if s.pid is None else f"{s.pid:02X}",
            text=s.text,
        )
        for s in catalogue().signals
    ]
    body = Signals(catalogue().version, items)
    tag = f'"{sha256(msgspec.json.encode(body)).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]  # 304 has no body
    return Response(body, headers=headers)


@get("/summary", action=Action.READ_FLEET, responses=PROBLEMS, tags=["fleet"])
async def get_summary(fleet: NamedDependency[Fleet]) -> Summary:
    """The fleet at a glance."""
    counts: Counter[str] = Counter(
        fleet.live.status(number) for number in fleet.registry.vehicles_of(fleet.db.tenant_id)
    )
    totals = await fleet.telemetry.totals()
    words = ("driving", "idling", "parked", "silent", "unknown")
    return Summary(
        VehicleCounts(counts.total(), *(counts[word] for word in words)), totals.frames, totals.samples, totals.doubled
    )


def _totals(streams: Sequence[StreamLedgerView]) -> FrameTotals:
    def count(ranges: Iterable[tuple[int, int]]) -> int:
        return sum(last - first + 1 for first, last in ranges)

    return FrameTotals(
        stored=sum(count(stream.stored) for stream in streams),
        pending=sum(count(stream.pending) for stream in streams),
        lost=sum(count((gap.first, gap.last) for gap in stream.lost) for stream in streams),
        quarantined=sum(count(stream.quarantined) for stream in streams),
    )


def _device(fleet: Fleet, name: str) -> DeviceRef:
    device = fleet.registry.device_named(fleet.db.tenant_id, name)
    if device is None:
        raise NotFound(f"There is no device {name!r}.")
    return device


async def _devices(fleet: Fleet) -> list[DeviceSummary]:
    def read(session: Session) -> tuple[Sequence[Row[int, str, str | None]], dict[int, str]]:
        devices = session.execute(_LISTED).all()
        names = {row.id: row.name for row in session.execute(select(Vehicle.id, Vehicle.name))}
        return devices, names

    devices, names = await fleet.db.run(read)
    accounts = await fleet.telemetry.accounts()
    out: list[DeviceSummary] = []
    for device in devices:
        vehicle_id = fleet.registry.vehicle_of(device.id)
        account = accounts.get(device.id, NO_FRAMES)
        out.append(
            DeviceSummary(
                id=device.name,
                vehicle_id=vehicle_id,
                vehicle_name=None if vehicle_id is None else names.get(vehicle_id),
                agent_version=device.agent_version,
                last_seen=account.last_seen,
                totals=account.totals,
                is_forked=account.is_forked,
            )
        )
    return out


ROUTES = [list_devices, get_device, get_ledger, list_signals, get_summary]
