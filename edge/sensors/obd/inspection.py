"""Asking a vehicle for its diagnosis when a technician wants it: codes with their freeze frames, and readiness."""

from collections.abc import Iterable

from edge.sensors.obd.decode import Dtc, by_ecu, split_pids
from edge.sensors.obd.diagnostics import readiness
from edge.sensors.obd.faults import read_report
from edge.sensors.obd.freeze_frame import read_freeze_frames, values_of
from edge.sensors.obd.report import Code, CodesReport, ComputerReadiness, FreezeFrame, MonitorState, ReadinessReport
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle
from sync_protocol.signals import catalogue
from sync_protocol.trouble_codes import text_of

_SINCE = ("mil_distance_km", "mil_time_min", "clear_distance_km", "clear_time_min", "warmups_count")


def told(codes: Iterable[Dtc]) -> list[Code]:
    """Codes as they are told, with their words."""
    return [Code(dtc.code, dtc.status, f"{dtc.ecu:X}", text_of(dtc.code)) for dtc in codes]


async def read_codes(vehicle: Vehicle, vin: str | None) -> CodesReport:
    """Codes, lamp, freeze frames. `ObdError` when the stored codes cannot be read: no answer is not "no faults"."""
    report = await read_report(vehicle)
    frames: list[FreezeFrame] = []
    unread: str | None = None
    if any(dtc.status != "permanent" for dtc in report.codes):
        try:
            frames = await read_freeze_frames(vehicle)
        except REQUEST_ERRORS as err:
            unread = str(err)
    values: dict[str, float] = {}
    for name in ("is_mil_on", *_SINCE):
        pid = catalogue().by_name[name].pid
        if pid is None or pid not in vehicle.owner:
            continue
        try:
            values |= values_of(await vehicle.read((pid,)))
        except REQUEST_ERRORS:
            continue  # shown as not told; the codes are what counts here
    lamp = values.get("is_mil_on")
    return CodesReport(
        vin=vin,
        codes=told(report.codes),
        unread={status: why for status, why in report.unread.items()},  # noqa: C416  # dict() would keep the narrow key type
        is_mil_on=None if lamp is None else bool(lamp),
        since={name: values[name] for name in _SINCE if name in values},
        freeze_frames=frames,
        freeze_unread=unread,
    )


async def read_readiness(vehicle: Vehicle) -> ReadinessReport:
    """Self-tests of all computers that tell them. `ObdError` when none does."""
    since = await _mode_01(vehicle, 0x01)
    cycle: dict[int, bytes] = {}
    if 0x41 in vehicle.owner:
        try:
            cycle = await _mode_01(vehicle, 0x41)
        except REQUEST_ERRORS:
            cycle = {}  # shown as not told
    computers = [readiness(ecu, data, cycle.get(ecu)) for ecu, data in sorted(since.items())]
    return ReadinessReport(
        [
            ComputerReadiness(
                f"{one.ecu:X}", one.is_mil_on, one.dtc_count, one.ignition, [MonitorState(*m) for m in one.monitors]
            )
            for one in computers
        ]
    )


async def _mode_01(vehicle: Vehicle, pid: int) -> dict[int, bytes]:
    answers = by_ecu(await vehicle.ask(f"01{pid:02X}", 0x01))
    return {ecu: split_pids(data, (pid,), vehicle.pid_sizes)[pid] for ecu, data in answers.items()}
