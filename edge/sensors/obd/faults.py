"""Trouble codes and the vehicle's identity: read, compared with what was known, told as events."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog

from edge.sensors.base import SensorSink
from edge.sensors.obd.decode import DTC_SERVICES, Dtc, DtcStatus
from edge.sensors.obd.diagnostics import monitors
from edge.sensors.obd.errors import AdapterSilent
from edge.sensors.obd.freeze_frame import read_freeze_frames
from edge.sensors.obd.identity import Calibrations, read_calibrations
from edge.sensors.obd.memory import Calibration, Memory
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle
from sync_protocol.signals import catalogue

log = structlog.get_logger(__name__)

_MONITOR_BITS = catalogue().by_name["monitor_bits"].id


class DtcReport:
    """What the computers say about trouble codes, and which of the lists could not be read, and why."""

    def __init__(self) -> None:
        self.by_status: dict[DtcStatus, dict[int, tuple[str, ...]]] = {}
        self.unread: dict[DtcStatus, str] = {}

    @property
    def codes(self) -> list[Dtc]:
        """All codes that were read, by status, computer and order of the answer."""
        return [
            Dtc(code, status, ecu)
            for status, found in self.by_status.items()
            for ecu, codes in sorted(found.items())
            for code in codes
        ]


async def read_report(vehicle: Vehicle) -> DtcReport:
    """Read the lists of trouble codes. Raises when stored codes cannot be read: no answer is not "no faults"."""
    report = DtcReport()
    for status in DTC_SERVICES:
        if status == "permanent" and not vehicle.bus.is_can:
            continue
        try:
            report.by_status[status] = await vehicle.dtcs(status)
        except REQUEST_ERRORS as err:
            if status == "stored":
                raise
            report.unread[status] = str(err)
    return report


def changes(memory: Memory, report: DtcReport, *, is_first: bool) -> list[tuple[str, str, DtcStatus]]:
    """Take `report` into `memory`; the events (`dtc_set` or `dtc_cleared`, code, status) that follow.

    A computer that did not answer keeps its codes: only its own word clears them. `is_first` repeats what is already
    known, since an event of the last run may have been lost with its power.
    """
    events: list[tuple[str, str, DtcStatus]] = []
    for status, found in report.by_status.items():
        known = memory.dtcs.setdefault(status, {})
        before = {code for codes in known.values() for code in codes}
        known.update({f"{ecu:X}": codes for ecu, codes in found.items()})
        after = {code for codes in known.values() for code in codes}
        events += [("dtc_set", code, status) for code in sorted(after if is_first else after - before)]
        events += [("dtc_cleared", code, status) for code in sorted(before - after)]
    return events


def calibration_changes(memory: Memory, found: Calibrations) -> list[tuple[str, dict[str, Any]]]:
    """Take what the computers say of their software into `memory`; the events that follow.

    A computer that does not answer, or has not summed up its software yet, keeps what was known of it.
    """
    events: list[tuple[str, dict[str, Any]]] = []
    for ecu, (ids, cvns) in found.items():
        before = memory.calibrations.get(f"{ecu:X}")
        known = before or Calibration()
        now = Calibration(tuple(ids) or known.ids, tuple(cvns) or known.cvns)
        memory.calibrations[f"{ecu:X}"] = now
        data: dict[str, Any] = {"ecu": f"{ecu:X}", "ids": list(now.ids), "cvns": list(now.cvns)}
        if before is None:
            events.append(("calibration_read", data))
        elif now.ids != known.ids or (known.cvns and now.cvns != known.cvns):
            data |= {"ids_before": list(known.ids), "cvns_before": list(known.cvns)}
            events.append(("calibration_changed", data))
    return events


def readiness_change(before: int, now: int) -> dict[str, list[str]] | None:
    """What self-tests are incomplete since the codes were cleared, if that changed; bits as in PID 01."""
    was, left = ([m.name for m in monitors(bytes(1) + bits.to_bytes(3, "big")) if not m.is_complete]
                 for bits in (before, now))  # fmt: skip
    return None if was == left else {"incomplete": left, "incomplete_before": was}


class FaultWatch:
    """Reads codes when the vehicle says that they changed, else once a period; VIN and software at each connection."""

    def __init__(
        self,
        memory: Memory,
        period_s: float,
        clock: Callable[[], int],
        keep: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`keep` saves the memory: what was told must not be told again after a power cut."""
        self._memory = memory
        self._period_ms = round(period_s * 1000)
        self._clock = clock
        self._keep = keep
        self._is_first = True
        self._has_told_identity = False
        self._due_ms = 0
        self._seen: tuple[int | None, ...] | None = None
        self._monitor_bits: int | None = None
        self._is_failing = False

    def connected(self) -> None:
        """A vehicle answers anew: read all as soon as possible."""
        self._due_ms = 0
        self._has_told_identity = False
        self._seen = None
        self._monitor_bits = None

    def hurry(self) -> None:
        """Something changed the codes: read them after the next round."""
        self._due_ms = 0

    def saw(self, values: Mapping[int, int], status_ids: Iterable[int]) -> None:
        """Values of a row: when lamp or count of PID 01 changed, the codes are read at once."""
        self._monitor_bits = values.get(_MONITOR_BITS, self._monitor_bits)
        if not all(signal_id in values for signal_id in status_ids):
            return
        now = tuple(values[signal_id] for signal_id in status_ids)
        if self._seen is not None and now != self._seen:
            self._due_ms = 0
        self._seen = now

    async def check(self, vehicle: Vehicle, sink: SensorSink) -> None:
        """Read and tell what is due. A vehicle that does not answer is asked again one period later."""
        now_ms = self._clock()
        if self._has_told_identity:  # until then the readiness may be that of another vehicle than the one remembered
            self._tell_readiness(sink)
        if now_ms < self._due_ms:
            return
        self._due_ms = now_ms + self._period_ms
        try:
            if not self._has_told_identity:
                await self._tell_identity(vehicle, sink)
            report = await read_report(vehicle)
        except (*REQUEST_ERRORS, AdapterSilent) as err:
            if not self._is_failing:
                log.warning("dtc_read_failed", reason=str(err))
            self._is_failing = True
            return
        self._is_failing = False
        await self._tell_codes(vehicle, sink, report)
        if self._keep is not None:
            await self._keep()

    async def _tell_codes(self, vehicle: Vehicle, sink: SensorSink, report: DtcReport) -> None:
        found = changes(self._memory, report, is_first=self._is_first)
        self._is_first = False
        frozen: dict[str, dict[str, float]] = {}
        if any(kind == "dtc_set" and status != "permanent" for kind, _, status in found):
            try:
                frozen = {frame.code: frame.values for frame in await read_freeze_frames(vehicle)}
            except (*REQUEST_ERRORS, AdapterSilent) as err:
                log.info("freeze_frame_unreadable", reason=str(err))
        for kind, code, status in found:
            data: dict[str, Any] = {"code": code, "status": status}
            if kind == "dtc_set" and status != "permanent" and code in frozen:
                data["freeze"] = frozen.pop(code)  # once, with the most settled status of the code
            sink.event(kind, self._clock(), data)
            log.info(kind, code=code, status=status)

    async def _tell_identity(self, vehicle: Vehicle, sink: SensorSink) -> None:
        try:
            vin = await vehicle.vin()
        except REQUEST_ERRORS as err:
            # Many vehicles before 2005 do not tell it, and are asked again at each connection only.
            log.info("vin_unreadable", reason=str(err))
        else:
            if self._memory.know_vehicle(vin):
                self._is_first = True
            sink.event("vin_read", self._clock(), {"vin": vin})
        try:
            found = await read_calibrations(vehicle)
        except REQUEST_ERRORS as err:
            log.info("calibration_unreadable", reason=str(err))
        else:
            for kind, data in calibration_changes(self._memory, found):
                sink.event(kind, self._clock(), data)
                log.info(kind, **data)
        self._has_told_identity = True

    def _tell_readiness(self, sink: SensorSink) -> None:
        now, before = self._monitor_bits, self._memory.monitor_bits
        if now is None or now == before:
            return
        self._memory.monitor_bits = now
        change = None if before is None else readiness_change(before, now)
        if change is not None:
            sink.event("readiness_changed", self._clock(), dict(change))
            log.info("readiness_changed", incomplete=change["incomplete"])
