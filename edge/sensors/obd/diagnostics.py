"""What the answers of the diagnostic services mean beyond the codes: freeze frames, readiness, identities, counters.

SAE J1979 / ISO 15031-5, by bytes. On CAN an answer is one message a computer with a count in it; on the older
protocols it comes in numbered lines of four bytes. Anything that does not come out even is a `BadAnswer`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from edge.sensors.obd.answer import Message
from edge.sensors.obd.decode import by_ecu, dtc_code, info_bodies, supported_pids
from edge.sensors.obd.errors import BadAnswer

IgnitionType = Literal["spark", "compression"]
CycleState = Literal["complete", "incomplete", "disabled"]

# By bit of byte B, then by bit of bytes C (supported) and D (incomplete), of PID 01 and PID 41.
_CONTINUOUS = ("misfire", "fuel system", "comprehensive components")
_ONCE: Mapping[IgnitionType, tuple[str | None, ...]] = {
    "spark": (
        "catalyst", "heated catalyst", "evaporative system", "secondary air",
        "A/C refrigerant or particulate filter", "oxygen sensor", "oxygen sensor heater", "EGR or VVT",
    ),
    "compression": (
        "NMHC catalyst", "NOx or SCR aftertreatment", None, "boost pressure",
        None, "exhaust gas sensor", "particulate filter", "EGR or VVT",
    ),
}  # fmt: skip
# Service 09 PID 08 and 0B: after two general counts, pairs of "completed" and "conditions met" in this order.
_COUNTED: Mapping[IgnitionType, tuple[str, ...]] = {
    "spark": (
        "catalyst bank 1", "catalyst bank 2", "oxygen sensor bank 1", "oxygen sensor bank 2", "EGR or VVT",
        "secondary air", "evaporative system", "secondary oxygen sensor bank 1", "secondary oxygen sensor bank 2",
        "air-fuel ratio bank 1", "air-fuel ratio bank 2", "particulate filter bank 1", "particulate filter bank 2",
    ),
    "compression": (
        "NMHC catalyst", "NOx or SCR catalyst", "NOx adsorber", "particulate filter", "exhaust gas sensor",
        "EGR or VVT", "boost pressure", "fuel system",
    ),
}  # fmt: skip
_COUNTS = {"spark": (16, 20, 28), "compression": (16, 18)}


class Monitor(NamedTuple):
    """One self-test that the computer has. `cycle` is its state in this drive cycle, None where not told."""

    name: str
    is_complete: bool
    cycle: CycleState | None


class Readiness(NamedTuple):
    """What one computer says of its lamp, its codes and its self-tests since the codes were cleared."""

    ecu: int
    is_mil_on: bool
    dtc_count: int
    ignition: IgnitionType
    monitors: tuple[Monitor, ...]


class UseCounters(NamedTuple):
    """How often each monitor ran to its end, and how often it could have: (name, completed, conditions met)."""

    ignition: IgnitionType
    conditions_count: int
    ignition_count: int
    monitors: tuple[tuple[str, int, int], ...]


def readiness(ecu: int, since_clear: bytes, this_cycle: bytes | None) -> Readiness:
    """From the four data bytes of PID 01 and, where the computer has it, those of PID 41."""
    ignition: IgnitionType = "compression" if since_clear[1] & 0x08 else "spark"
    return Readiness(
        ecu, bool(since_clear[0] & 0x80), since_clear[0] & 0x7F, ignition, monitors(since_clear, this_cycle)
    )


def monitors(since_clear: bytes, this_cycle: bytes | None = None) -> tuple[Monitor, ...]:
    """The monitors that bytes A to D of PID 01 announce; byte A does not matter."""
    once = _ONCE["compression" if since_clear[1] & 0x08 else "spark"]
    supported, incomplete = _masks(since_clear)
    enabled, left = _masks(this_cycle or bytes(4))
    found: list[Monitor] = []
    for bit, name in enumerate((*_CONTINUOUS, *once)):
        if name is None or not supported >> bit & 1:
            continue
        cycle: CycleState | None = None
        if this_cycle is not None:
            cycle = "disabled" if not enabled >> bit & 1 else "incomplete" if left >> bit & 1 else "complete"
        found.append(Monitor(name, not incomplete >> bit & 1, cycle))
    return tuple(found)


def _masks(data: bytes) -> tuple[int, int]:
    """(there, not complete) with bits 0 to 2 for the continuous monitors and 3 to 10 for the others."""
    return data[1] & 7 | data[2] << 3, data[1] >> 4 & 7 | data[3] << 3


def frozen_code(data: bytes) -> str | None:
    """The code whose freeze frame 0 a computer keeps, of its `42 02 00 code code`; None: it keeps none."""
    if len(data) != 5 or data[1:3] != b"\x02\x00":
        raise BadAnswer("not the code of a freeze frame")
    return dtc_code(data[3:]) if any(data[3:]) else None


def info_types(found: Iterable[Message], is_can: bool) -> dict[int, frozenset[int]]:
    """Which information of service 09 each computer has, of its answer to PID 00."""
    skip = 2 if is_can else 3  # the older protocols have a message number there
    types: dict[int, frozenset[int]] = {}
    for ecu, data in by_ecu(found).items():
        if len(data) != skip + 4 or data[1] != 0x00 or (not is_can and data[2] != 1):
            raise BadAnswer("not a list of vehicle information")
        types[ecu] = frozenset(supported_pids(0x00, data[skip:]))
    return types


def information(found: Iterable[Message], info_type: int, size: int, is_can: bool) -> dict[int, list[bytes]]:
    """Items of `size` bytes by computer of a service 09 answer. Their number must be the one announced."""
    items: dict[int, list[bytes]] = {}
    for ecu, (count, body) in info_bodies(found, info_type, is_can).items():
        if not body or len(body) % size or (count is not None and len(body) != count * size):
            raise BadAnswer(f"{len(body)} bytes of vehicle information {info_type:02X}")
        items[ecu] = [body[at : at + size] for at in range(0, len(body), size)]
    return items


def label(raw: bytes) -> str:
    """A calibration id or a name as text without its filling; its bytes in hexadecimal where it is not text."""
    kept = raw.replace(b"\x00", b"").strip(b"\xff ")
    if kept and all(0x20 <= byte < 0x7F for byte in kept):
        return kept.decode("ascii")
    return "0x" + raw.hex().upper()


def use_counters(raw: Sequence[bytes], ignition: IgnitionType) -> UseCounters:
    """Two-byte counts of service 09 PID 08 (spark) or 0B (compression), named. Older lines are filled up with zero."""
    counts = [int.from_bytes(item, "big") for item in raw]
    if len(counts) not in _COUNTS[ignition]:
        raise BadAnswer(f"{len(counts)} counters of monitors")
    pairs = zip(counts[2::2], counts[3::2], strict=True)
    named = tuple((name, done, could) for name, (done, could) in zip(_COUNTED[ignition], pairs, strict=False))
    return UseCounters(ignition, counts[0], counts[1], named)
