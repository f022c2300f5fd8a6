"""Who the computers say they are (service 09): names, software with its checksums, in-use counters."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from edge.sensors.obd.diagnostics import IgnitionType, info_types, information, label, use_counters
from edge.sensors.obd.errors import NegativeAnswer
from edge.sensors.obd.report import Computer, Counter, IdentityReport, InUse
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle

T = TypeVar("T")
Calibrations = dict[int, tuple[list[str], list[str]]]
"""Calibration ids and verification numbers by computer."""

_PENDING = 0x78
_TRIES = 3


async def read_calibrations(vehicle: Vehicle) -> Calibrations:
    """What each computer says of its software. `ObdError` when the vehicle has none of it or it is unreadable."""
    types = await _info_types(vehicle)
    ids = await _labels(vehicle, types, 0x04, 16)
    try:
        cvns = await _cvns(vehicle, types)
    except REQUEST_ERRORS:
        cvns = {}  # many computers take minutes after a start to have summed up
    return {ecu: (ids.get(ecu, []), cvns.get(ecu, [])) for ecu in sorted(ids.keys() | cvns.keys())}


async def read_identity(vehicle: Vehicle) -> IdentityReport:
    """VIN, and of each computer its name, software and in-use counters, as far as it has them."""
    unread: dict[str, str] = {}

    async def attempt(what: str, reading: Callable[[], Coroutine[Any, Any, T]], without: T) -> T:
        try:
            return await reading()
        except REQUEST_ERRORS as err:
            unread[what] = str(err)
            return without

    nothing: dict[int, list[str]] = {}
    no_types: dict[int, frozenset[int]] = {}
    no_counters: dict[int, InUse] = {}
    vin = await attempt("VIN", vehicle.vin, "")
    types = await attempt("list of information", lambda: _info_types(vehicle), no_types)
    names = await attempt("name", lambda: _labels(vehicle, types, 0x0A, 20), nothing)
    ids = await attempt("calibration", lambda: _labels(vehicle, types, 0x04, 16), nothing)
    cvns = await attempt("CVN", lambda: _cvns(vehicle, types), nothing)
    in_use: dict[int, InUse] = {}
    in_use |= await attempt("in-use counters", lambda: _in_use(vehicle, types, 0x08, "spark"), no_counters)
    in_use |= await attempt("in-use counters", lambda: _in_use(vehicle, types, 0x0B, "compression"), no_counters)
    computers = [
        Computer(
            ecu=f"{ecu:X}",
            name=next(iter(names.get(ecu, ())), None),
            calibrations=ids.get(ecu, []),
            cvns=cvns.get(ecu, []),
            in_use=in_use.get(ecu),
        )
        for ecu in sorted({*vehicle.supported, *types})
    ]
    return IdentityReport(vin=vin or None, protocol=vehicle.bus.name, computers=computers, unread=unread)


async def _info_types(vehicle: Vehicle) -> dict[int, frozenset[int]]:
    return info_types(await vehicle.ask("0900", 0x09), vehicle.bus.is_can)


async def _items(
    vehicle: Vehicle, types: Mapping[int, frozenset[int]], info_type: int, size: int
) -> dict[int, list[bytes]]:
    """Nothing is sent when no computer has announced it. A computer that works on its answer is asked again."""
    if not any(info_type in own for own in types.values()):
        return {}
    for tries_left in reversed(range(_TRIES)):
        try:
            found = await vehicle.ask(f"09{info_type:02X}", 0x09)
        except NegativeAnswer as err:
            if err.code != _PENDING or not tries_left:
                raise
        else:
            return information(found, info_type, size, vehicle.bus.is_can)
    raise AssertionError


async def _labels(
    vehicle: Vehicle, types: Mapping[int, frozenset[int]], info_type: int, size: int
) -> dict[int, list[str]]:
    items = await _items(vehicle, types, info_type, size)
    return {ecu: [label(item) for item in own] for ecu, own in items.items()}


async def _cvns(vehicle: Vehicle, types: Mapping[int, frozenset[int]]) -> dict[int, list[str]]:
    return {ecu: [item.hex().upper() for item in own] for ecu, own in (await _items(vehicle, types, 0x06, 4)).items()}


async def _in_use(
    vehicle: Vehicle, types: Mapping[int, frozenset[int]], info_type: int, ignition: IgnitionType
) -> dict[int, InUse]:
    found: dict[int, InUse] = {}
    for ecu, raw in (await _items(vehicle, types, info_type, 2)).items():
        counted = use_counters(raw, ignition)
        found[ecu] = InUse(
            ignition, counted.conditions_count, counted.ignition_count, [Counter(*one) for one in counted.monitors]
        )
    return found
