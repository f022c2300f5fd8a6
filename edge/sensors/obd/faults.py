"""Trouble codes and the vehicle's identity: read, compared with what was known, told as events."""

from collections.abc import Callable, Iterable, Mapping

import structlog

from edge.sensors.base import SensorSink
from edge.sensors.obd.decode import DTC_SERVICES, Dtc, DtcStatus
from edge.sensors.obd.errors import AdapterSilent
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle

log = structlog.get_logger(__name__)


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


class FaultWatch:
    """Reads codes when the vehicle says that they changed, else once a period; the VIN until it is known."""

    def __init__(self, memory: Memory, period_s: float, clock: Callable[[], int]) -> None:
        self._memory = memory
        self._period_ms = round(period_s * 1000)
        self._clock = clock
        self._is_first = True
        self._has_told_vin = False
        self._due_ms = 0
        self._seen: tuple[int | None, ...] | None = None
        self._is_failing = False

    def connected(self) -> None:
        """A vehicle answers anew: read all as soon as possible."""
        self._due_ms = 0
        self._has_told_vin = False
        self._seen = None

    def saw(self, values: Mapping[int, int], status_ids: Iterable[int]) -> None:
        """Values of a row: when lamp or count of PID 01 changed, the codes are read at once."""
        if not all(signal_id in values for signal_id in status_ids):
            return
        now = tuple(values[signal_id] for signal_id in status_ids)
        if self._seen is not None and now != self._seen:
            self._due_ms = 0
        self._seen = now

    async def check(self, vehicle: Vehicle, sink: SensorSink) -> None:
        """Read and tell what is due. A vehicle that does not answer is asked again one period later."""
        now_ms = self._clock()
        if now_ms < self._due_ms:
            return
        self._due_ms = now_ms + self._period_ms
        try:
            if not self._has_told_vin:
                await self._tell_vin(vehicle, sink)
            report = await read_report(vehicle)
        except (*REQUEST_ERRORS, AdapterSilent) as err:
            if not self._is_failing:
                log.warning("dtc_read_failed", reason=str(err))
            self._is_failing = True
            return
        self._is_failing = False
        for kind, code, status in changes(self._memory, report, is_first=self._is_first):
            sink.event(kind, self._clock(), {"code": code, "status": status})
            log.info(kind, code=code, status=status)
        self._is_first = False

    async def _tell_vin(self, vehicle: Vehicle, sink: SensorSink) -> None:
        try:
            vin = await vehicle.vin()
        except REQUEST_ERRORS as err:
            # Many vehicles before 2005 do not tell it, and are asked again at each connection only.
            log.info("vin_unreadable", reason=str(err))
        else:
            if self._memory.know_vehicle(vin):
                self._is_first = True
            sink.event("vin_read", self._clock(), {"vin": vin})
        self._has_told_vin = True
