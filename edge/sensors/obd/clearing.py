"""Clearing trouble codes (service 04): only with the engine off, and only what a second reading confirms is cleared."""

import asyncio
from collections.abc import Callable
from typing import Any

from edge.sensors.obd.errors import AdapterSilent, BadAnswer, ObdError
from edge.sensors.obd.faults import DtcReport, read_report
from edge.sensors.obd.inspection import told
from edge.sensors.obd.report import ClearReport, ClearResult
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle

_MOTION = ((0x0C, "the engine runs"), (0x0D, "the vehicle moves"))
_REFUSALS = {
    0x11: "it cannot clear codes",
    0x12: "it cannot clear codes",
    0x21: "it is busy",
    0x22: "conditions not correct: ignition on, engine off, then try again",
    0x33: "it wants a key that only the maker's tool has",
}
_READ_AGAIN_S = (0.0, 0.5, 1.0, 2.0)  # computers write to their memory for a moment, and some start anew
_PATIENCE_S = 6.0

Tell = Callable[[str, dict[str, Any]], None]


async def clear_codes(vehicle: Vehicle, source: str, tell: Tell) -> ClearReport:
    """Clear stored and pending codes with their freeze frames and readiness. `tell` takes the events.

    Refused while the engine runs or the vehicle moves, and when neither can be found out: codes cleared by mistake
    are lost evidence. `ObdError` when the codes cannot be read before; then nothing was sent.
    """
    before = await read_report(vehicle)
    codes = _codes(before)
    tell("dtc_clear_requested", {"source": source, "codes_before": codes})
    reason = await _why_not(vehicle)
    if reason is not None:
        tell("dtc_clear_refused", {"source": source, "reason": reason})
        return ClearReport(result="refused", reason=reason, before=told(before.codes))
    refused: dict[str, str] = {}
    doubt = ""
    try:
        has_accepted, refused = await _send(vehicle)
    except (*REQUEST_ERRORS, AdapterSilent) as err:
        has_accepted, doubt = True, f"the answer was not understood ({err})"  # what is read again decides
    if not has_accepted:
        reason = "; ".join(f"{ecu}: {why}" for ecu, why in refused.items())
        tell("dtc_clear_refused", {"source": source, "reason": reason})
        return ClearReport(result="refused", reason=reason, before=told(before.codes), refused=refused)
    after = await _read_again(vehicle)
    report = _judged(before, after, refused, doubt)
    data: dict[str, Any] = {"source": source, "result": report.result, "codes_before": codes}
    if after is not None:
        data["codes_after"] = _codes(after)
    tell("dtcs_cleared", data | ({"refused": refused} if refused else {}))
    return report


async def _why_not(vehicle: Vehicle) -> str | None:
    """Why codes must not be cleared now; None when the vehicle stands with its engine off."""
    asked = [(pid, why) for pid, why in _MOTION if pid in vehicle.owner]
    if not asked:
        return "the vehicle tells neither engine speed nor speed, so it may be running"
    for pid, why in asked:
        try:
            data = (await vehicle.read((pid,))).get(pid)
        except (*REQUEST_ERRORS, AdapterSilent) as err:
            return f"it could not be read whether {why} ({err})"
        if data is None:
            return f"it could not be read whether {why}"
        if any(data):
            return why
    return None


async def _send(vehicle: Vehicle) -> tuple[bool, dict[str, str]]:
    """Whether a computer has cleared its codes, and why others have not."""
    has_accepted, refused = False, {}
    for ecu, data in await vehicle.exchange("04"):
        if data in (b"\x44", b"\x7f\x04\x78"):  # done, or at work on it: the codes that are read again will tell
            has_accepted = True
        elif len(data) == 3 and data[:2] == b"\x7f\x04":
            refused[f"{ecu:X}"] = _REFUSALS.get(data[2], f"refused with code {data[2]:02X}")
        else:
            raise BadAnswer(f"{data.hex()} to a request to clear codes")
    return has_accepted, refused


async def _read_again(vehicle: Vehicle) -> DtcReport | None:
    until_s = asyncio.get_running_loop().time() + _PATIENCE_S
    for wait_s in _READ_AGAIN_S:
        if asyncio.get_running_loop().time() > until_s:
            break
        await asyncio.sleep(wait_s)
        try:
            report = await read_report(vehicle)
        except (*REQUEST_ERRORS, AdapterSilent):
            continue
        except ObdError:
            return None  # the adapter is gone
        if "pending" not in report.unread:
            return report
    return None


def _judged(before: DtcReport, after: DtcReport | None, refused: dict[str, str], doubt: str) -> ClearReport:
    if after is None:
        reason = "the codes could not be read again" + (f"; {doubt}" if doubt else "")
        return ClearReport(result="unconfirmed", reason=reason, before=told(before.codes), refused=refused)
    silent = sorted(ecu for ecu in before.by_status["stored"] if ecu not in after.by_status["stored"])
    left = [dtc.code for dtc in after.codes if dtc.status != "permanent"]
    result: ClearResult = "cleared"
    if left:
        result, doubt = "still_set", f"still there or there again: {', '.join(dict.fromkeys(left))}"
    elif silent:
        result, doubt = "unconfirmed", f"{', '.join(f'{ecu:X}' for ecu in silent)} did not answer again"
    elif doubt and all(dtc.status == "permanent" for dtc in before.codes):
        result = "unconfirmed"  # there was no code whose absence could tell
    before_, after_ = told(before.codes), told(after.codes)
    return ClearReport(result=result, reason=doubt, before=before_, after=after_, refused=refused)


def _codes(report: DtcReport) -> list[str]:
    return [f"{dtc.code} {dtc.status} {dtc.ecu:X}" for dtc in report.codes]
