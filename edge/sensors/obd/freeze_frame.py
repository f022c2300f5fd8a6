"""Freeze frames (service 02): what a computer measured when a code was set."""

from collections.abc import Iterable, Mapping, Sequence

from edge.sensors.obd.decode import by_ecu, raw_values, split_pids, supported_pids
from edge.sensors.obd.diagnostics import frozen_code
from edge.sensors.obd.errors import BadAnswer
from edge.sensors.obd.report import FreezeFrame
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle
from sync_protocol.signals import catalogue

_PER_REQUEST = 3  # SAE J1979: as many pairs of PID and frame fit one CAN frame
_FRAME = b"\x00"  # the only one that SAE J1979 asks for
_LISTS = range(0x20, 0x80, 0x20)


async def read_freeze_frames(vehicle: Vehicle) -> list[FreezeFrame]:
    """Freeze frame 0 of every computer that keeps one. `ObdError` when none can say whether it does."""
    codes = await _frozen_codes(vehicle)
    if not codes:
        return []
    pids = await _frozen_pids(vehicle, codes)
    size = _PER_REQUEST if vehicle.batch_size > 1 else 1
    found: dict[int, dict[int, bytes]] = {ecu: {} for ecu in codes}
    for at in range(0, len(pids), size):
        for ecu, data in (await _frozen(vehicle, pids[at : at + size])).items():
            if ecu in found:
                found[ecu] |= data
    if await _frozen_codes(vehicle) != codes:
        raise BadAnswer("the freeze frame changed while it was read")
    return [FreezeFrame(f"{ecu:X}", code, values_of(found[ecu])) for ecu, code in sorted(codes.items())]


async def _frozen_codes(vehicle: Vehicle) -> dict[int, str]:
    answers = by_ecu(await vehicle.ask("020200", 0x02))
    return {ecu: code for ecu, data in answers.items() if (code := frozen_code(data)) is not None}


async def _frozen_pids(vehicle: Vehicle, codes: Iterable[int]) -> list[int]:
    """Those of the frames that the catalogue knows."""
    there: set[int] = set()
    for base in (0x00, *_LISTS):
        if base and base not in there:
            break
        for ecu, data in by_ecu(await vehicle.ask(f"02{base:02X}00", 0x02)).items():
            if ecu in codes:
                there |= supported_pids(base, split_pids(data, (base,), vehicle.pid_sizes, after_pid=_FRAME)[base])
    return sorted(pid for pid in there if catalogue().by_pid.get(pid))


async def _frozen(vehicle: Vehicle, pids: Sequence[int]) -> dict[int, dict[int, bytes]]:
    request = "02" + "".join(f"{pid:02X}00" for pid in pids)
    try:
        answers = by_ecu(await vehicle.ask(request, 0x02))
        return {ecu: split_pids(data, pids, vehicle.pid_sizes, after_pid=_FRAME) for ecu, data in answers.items()}
    except REQUEST_ERRORS:
        if len(pids) == 1:
            return {}  # one value less, not a wrong one
    merged: dict[int, dict[int, bytes]] = {}
    for pid in pids:
        for ecu, data in (await _frozen(vehicle, (pid,))).items():
            merged.setdefault(ecu, {}).update(data)
    return merged


def values_of(data: Mapping[int, bytes]) -> dict[str, float]:
    """By signal, in its unit; a value that the quantity cannot have is left out."""
    by_id = catalogue().by_id
    raw = raw_values(data, [signal for pid in data for signal in catalogue().by_pid.get(pid, ())])
    return {
        by_id[i].name: round(by_id[i].value(value), by_id[i].decimals + 1)
        for i, value in raw.items()
        if by_id[i].is_in_range(value)
    }
