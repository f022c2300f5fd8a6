"""What can break, and how it is asked for: `misfire`, `van-02:thermostat`, `alternator@300`, `dtc=P0420`."""

import re

import msgspec

from edge.simulator.kinds import Kind
from sync_protocol.errors import Invalid

# Fault, the trouble code it raises, seconds of its effect until it is pending and until it is stored.
CODES: dict[str, tuple[str, float, float]] = {
    "misfire": ("P0301", 8, 30),
    "thermostat": ("P0128", 420, 600),
    "alternator": ("P0562", 20, 60),
    "o2": ("P0130", 5, 25),
}
_REQUEST = re.compile(
    r"(?:(?P<vehicle>[\w-]+):)?(?P<fault>[a-z0-9]+)(?:=(?P<code>[PCBU][0-3][0-9A-F]{3}))?(?:@(?P<after>\d+))?"
)


class FaultRequest(msgspec.Struct, frozen=True):
    """A fault for one vehicle (by name) or, with None, for all; `after_s` counts from the start of the simulation."""

    fault: str
    vehicle: str | None = None
    after_s: float = 0.0


def parse_fault(text: str) -> FaultRequest:
    """Read `[vehicle:]fault[@seconds]`. Raises Invalid, which names what is possible."""
    match = _REQUEST.fullmatch(text)
    if match is None or (match["fault"] == "dtc") != (match["code"] is not None):
        raise Invalid(f"fault {text!r}: expected [vehicle:]fault[@seconds] with fault one of {known()}")
    if match["fault"] not in (*CODES, "dtc"):
        raise Invalid(f"fault {match['fault']!r}: expected one of {known()}")
    name = match["fault"] if match["code"] is None else f"dtc={match['code']}"
    return FaultRequest(name, match["vehicle"], float(match["after"] or 0))


def known() -> str:
    """The faults there are, for messages."""
    return ", ".join([*CODES, "dtc=P0420 (any code)"])


def fits(fault: str, kind: Kind) -> bool:
    """Whether a kind of vehicle has the part that breaks."""
    return fault != "o2" or kind.has_o2_sensor
