"""What is told of a vehicle's diagnosis: plain data for the control socket, which commands decode without the agent.

Computers are named by their address on the bus in hexadecimal: 7E8 is the engine's on nearly every vehicle.
"""

from typing import Literal

import msgspec

from edge.sensors.obd.decode import DtcStatus
from edge.sensors.obd.diagnostics import CycleState, IgnitionType

ClearResult = Literal["cleared", "still_set", "refused", "unconfirmed"]


class Code(msgspec.Struct, frozen=True):
    """A trouble code of one computer."""

    code: str
    status: DtcStatus
    ecu: str
    text: str


class FreezeFrame(msgspec.Struct, frozen=True):
    """What a computer measured when the code was set: values by signal, in the catalogue's units."""

    ecu: str
    code: str
    values: dict[str, float]


class CodesReport(msgspec.Struct, frozen=True, kw_only=True):
    """All trouble codes. `unread` says which list could not be read, and why; `since` holds distances and times."""

    vin: str | None
    codes: list[Code]
    unread: dict[str, str]
    is_mil_on: bool | None
    since: dict[str, float]
    freeze_frames: list[FreezeFrame]
    freeze_unread: str | None


class MonitorState(msgspec.Struct, frozen=True):
    """A self-test: complete since the codes were cleared, and its state in this drive cycle where that is told."""

    name: str
    is_complete: bool
    cycle: CycleState | None


class ComputerReadiness(msgspec.Struct, frozen=True):
    """Lamp, count of stored codes and self-tests of one computer."""

    ecu: str
    is_mil_on: bool
    dtc_count: int
    ignition: IgnitionType
    monitors: list[MonitorState]


class ReadinessReport(msgspec.Struct, frozen=True):
    """All computers that have self-tests."""

    computers: list[ComputerReadiness]


class Counter(msgspec.Struct, frozen=True):
    """How often a monitor ran to its end, and how often the conditions for it were met."""

    name: str
    completed_count: int
    conditions_count: int


class InUse(msgspec.Struct, frozen=True):
    """In-use performance: times the general conditions were met, engine starts, and the monitors."""

    ignition: IgnitionType
    conditions_count: int
    ignition_count: int
    monitors: list[Counter]


class Computer(msgspec.Struct, frozen=True, kw_only=True):
    """Who a computer says it is. A calibration verification number (CVN) is a checksum over its software."""

    ecu: str
    name: str | None = None
    calibrations: list[str] = []
    cvns: list[str] = []
    in_use: InUse | None = None


class IdentityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The vehicle and its computers. `unread` says what they have and could not be read, and why."""

    vin: str | None
    protocol: str
    computers: list[Computer]
    unread: dict[str, str]


class ClearReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of clearing the codes. `refused` are reasons by computer; `after` is None when it could not be read."""

    result: ClearResult
    reason: str
    before: list[Code]
    after: list[Code] | None = None
    refused: dict[str, str] = {}
