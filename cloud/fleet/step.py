"""Fleet's part of derive: what a vehicle was doing when, and its trouble codes.

Both steps count instants strictly upwards for each device, so that a rewind can tell what came after a state.
"""

from datetime import UTC, datetime, timedelta
import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from cloud.facts import DerivedFrame, VehicleStatus
from cloud.fleet.tables import Fault, VehicleState
from sync_protocol.signals import catalogue

_MOVING_KMH = 3.0
_RUNNING_RPM = 200.0
_SETTLED_US = 10_000_000
_SILENT_US = 600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUSES: tuple[VehicleStatus, ...] = ("parked", "idling", "driving")


def _time(ts_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts_us)


class VehicleStateMemory(msgspec.Struct, array_like=True):
    """The open interval, and a status that has shown itself but not yet lasted long enough to count."""

    status: VehicleStatus | None = None
    since_us: int = 0
    vehicle_id: int | None = None
    last_us: int = 0
    next_status: VehicleStatus | None = None
    next_since_us: int = 0


class VehicleStateStep:
    """Driving, idling and parked by speed and engine; silent from the last sample when none comes for ten minutes.

    A status counts, from its first instant, once it has lasted ten seconds: a stop at a junction is idling, a glitch is
    nothing.
    """

    name = "vehicle_state"
    signals: tuple[str, ...] = ("speed_kmh", "gps_speed_kmh", "engine_rpm")
    state_type = VehicleStateMemory

    def start(self) -> VehicleStateMemory:
        """Nothing known."""
        return VehicleStateMemory()

    def is_boundary(self, state: VehicleStateMemory) -> bool:
        """Any frame will do: `rewind` cuts the intervals at the state's open one."""
        return True

    def apply(self, state: VehicleStateMemory, frame: DerivedFrame, session: Session) -> VehicleStateMemory:
        """Take in a frame's instants; those that do not lie after the last one are passed over."""
        memory = msgspec.structs.replace(state)
        status = _statuses(frame)
        for i in _turns(status, frame.ts_us):
            ts_us = int(frame.ts_us[i])
            if ts_us > memory.last_us:
                self._instant(memory, frame, session, ts_us, int(status[i]))
        return memory

    def _instant(
        self, memory: VehicleStateMemory, frame: DerivedFrame, session: Session, ts_us: int, code: int
    ) -> None:
        if memory.status is not None and ts_us - memory.last_us > _SILENT_US:
            self._settle(memory, frame, session)
            self._open(memory, frame, session, "silent", memory.last_us + 1)
        memory.last_us = ts_us
        if code < 0:
            return
        status = _STATUSES[code]
        if memory.status in (None, "silent") or memory.vehicle_id != frame.vehicle_id:
            memory.next_status = None
            self._open(memory, frame, session, status, ts_us)
        elif status == memory.status:
            memory.next_status = None
        elif status != memory.next_status:
            memory.next_status, memory.next_since_us = status, ts_us
        elif ts_us - memory.next_since_us >= _SETTLED_US:
            self._settle(memory, frame, session)

    def _settle(self, memory: VehicleStateMemory, frame: DerivedFrame, session: Session) -> None:
        if memory.next_status is not None:
            self._open(memory, frame, session, memory.next_status, memory.next_since_us)
            memory.next_status = None

    def _open(
        self, memory: VehicleStateMemory, frame: DerivedFrame, session: Session, status: VehicleStatus, ts_us: int
    ) -> None:
        """Close the open interval and begin another."""
        session.flush()
        session.execute(
            update(VehicleState)
            .where(VehicleState.device_id == frame.device_id, VehicleState.until.is_(None))
            .values(until=_time(ts_us))
        )
        memory.status, memory.since_us, memory.vehicle_id = status, ts_us, frame.vehicle_id
        if frame.vehicle_id is not None:
            session.add(
                VehicleState(
                    tenant_id=frame.tenant_id,
                    vehicle_id=frame.vehicle_id,
                    device_id=frame.device_id,
                    status=status,
                    since=_time(ts_us),
                    until=None,
                )
            )

    def rewind(self, state: VehicleStateMemory, device_id: int, session: Session) -> None:
        """Remove the intervals after the state's open one, and open that one again."""
        of_device = VehicleState.device_id == device_id
        if state.status is None:
            session.execute(delete(VehicleState).where(of_device))
            return
        session.execute(delete(VehicleState).where(of_device, VehicleState.since > _time(state.since_us)))
        session.execute(
            update(VehicleState).where(of_device, VehicleState.since == _time(state.since_us)).values(until=None)
        )


def _statuses(frame: DerivedFrame) -> NDArray[np.int64]:
    """(R,) index into `_STATUSES` of each instant, -1 where nothing tells."""
    speed, rpm = frame.values["speed_kmh"], frame.values["engine_rpm"]
    speed = np.where(np.isnan(speed), frame.values["gps_speed_kmh"], speed)
    out = np.full(len(frame.ts_us), -1, np.int64)
    out[~np.isnan(rpm)] = 0
    out[rpm >= _RUNNING_RPM] = 1
    # A position at rest says nothing about the engine.
    out[speed >= _MOVING_KMH] = 2
    return out


def _turns(status: NDArray[np.int64], ts_us: NDArray[np.int64]) -> list[int]:
    """The instants that can change anything: the first and last of each run, and those around a silence."""
    if not len(status):
        return []
    changes = np.diff(status) != 0
    silences = np.diff(ts_us) > _SILENT_US
    edge = changes | silences
    is_turn = np.zeros(len(status), np.bool_)
    is_turn[[0, -1]] = True
    is_turn[1:] |= edge
    is_turn[:-1] |= edge
    return [int(i) for i in np.flatnonzero(is_turn)]


class FaultMemory(msgspec.Struct, array_like=True):
    """Codes that stand, each with when it was first and last reported."""

    open: dict[str, tuple[int, int]] = {}
    last_us: int = 0


_FAULT_STATUSES = ("stored", "pending", "permanent")


class FaultStep:
    """Trouble codes: one row a spell, from `dtc_set` to `dtc_cleared`; the freeze frame is the first report's."""

    name = "faults"
    signals: tuple[str, ...] = ()
    state_type = FaultMemory

    def start(self) -> FaultMemory:
        """No code stands."""
        return FaultMemory()

    def is_boundary(self, state: FaultMemory) -> bool:
        """Any frame will do."""
        return True

    def apply(self, state: FaultMemory, frame: DerivedFrame, session: Session) -> FaultMemory:
        """Open, prolong and close spells."""
        memory = state
        for ts_us, event in frame.events:
            if event.kind not in ("dtc_set", "dtc_cleared"):
                continue
            fault = _fault(event.data)
            if fault is None or frame.vehicle_id is None:
                continue
            memory = FaultMemory(dict(memory.open), max(ts_us, memory.last_us + 1))
            key = "/".join(fault)
            stands = memory.open.get(key)
            if event.kind == "dtc_set":
                self._set(memory, fault, event.data, frame, session)
            elif stands is not None:
                del memory.open[key]
                session.execute(_spell(frame.device_id, fault, stands[0]).values(cleared_at=_time(memory.last_us)))
        return memory

    def _set(
        self, memory: FaultMemory, fault: tuple[str, str], data: dict[str, Any], frame: DerivedFrame, session: Session
    ) -> None:
        key = "/".join(fault)
        stands = memory.open.get(key)
        now = _time(memory.last_us)
        if stands is not None:
            memory.open[key] = (stands[0], memory.last_us)
            session.execute(_spell(frame.device_id, fault, stands[0]).values(last_seen=now))
            return
        memory.open[key] = (memory.last_us, memory.last_us)
        session.add(
            Fault(
                tenant_id=frame.tenant_id,
                vehicle_id=frame.vehicle_id,
                device_id=frame.device_id,
                code=fault[0],
                status=fault[1],
                first_seen=now,
                last_seen=now,
                cleared_at=None,
                freeze=_freeze(data),
            )
        )
        session.flush()

    def rewind(self, state: FaultMemory, device_id: int, session: Session) -> None:
        """Remove the spells that began after the state, and open those again that stood then."""
        session.execute(delete(Fault).where(Fault.device_id == device_id, Fault.first_seen > _time(state.last_us)))
        for key, (first_us, last_us) in state.open.items():
            code, status = key.split("/")
            session.execute(
                _spell(device_id, (code, status), first_us).values(last_seen=_time(last_us), cleared_at=None)
            )


def _spell(device_id: int, fault: tuple[str, str], first_us: int) -> Any:
    return update(Fault).where(
        Fault.device_id == device_id,
        Fault.code == fault[0],
        Fault.status == fault[1],
        Fault.first_seen == _time(first_us),
    )


def _fault(data: dict[str, Any]) -> tuple[str, str] | None:
    """(code, status) of an event's data, None when it is not one."""
    code, status = data.get("code"), data.get("status", "stored")
    if isinstance(code, str) and len(code) == 5 and code.isalnum() and status in _FAULT_STATUSES:
        return code, status
    return None


def _freeze(data: dict[str, Any]) -> dict[str, float] | None:
    """What the engine computer measured, by an event: signals of the catalogue only, None when it says nothing."""
    said = data.get("freeze")
    known = catalogue().by_name
    kept = {
        name: float(value)
        for name, value in (said.items() if isinstance(said, dict) else ())
        if name in known and isinstance(value, int | float) and math.isfinite(value)
    }
    return kept or None
