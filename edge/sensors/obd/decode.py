"""What the bytes of a positive answer mean (SAE J1979). Values of mode 01 come from the signal catalogue alone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
import re
from typing import Literal, NamedTuple

from edge.sensors.obd.answer import Message
from edge.sensors.obd.errors import BadAnswer
from sync_protocol.signals import Signal

DtcStatus = Literal["stored", "pending", "permanent"]
DTC_SERVICES: Mapping[DtcStatus, int] = {"stored": 0x03, "pending": 0x07, "permanent": 0x0A}

_VIN = re.compile(rb"[A-HJ-NPR-Z0-9]{17}")


class Dtc(NamedTuple):
    """A diagnostic trouble code (`P0143`) and the address of the computer that has it."""

    code: str
    status: DtcStatus
    ecu: int


def by_ecu(found: Iterable[Message]) -> dict[int, bytes]:
    """One message for each computer; `BadAnswer` when one of them answered twice."""
    answers: dict[int, bytes] = {}
    for message in found:
        if message.ecu in answers:
            raise BadAnswer(f"two answers of {message.ecu:X}")
        answers[message.ecu] = message.data
    return answers


def split_pids(
    data: bytes, asked: Collection[int], sizes: Mapping[int, int], *, after_pid: bytes = b""
) -> dict[int, bytes]:
    """Data bytes by PID of one `41 pid data pid data ...` answer, which may lack PIDs but not have others.

    `after_pid` must stand behind each PID: the number of a freeze frame in answers to service 02. `BadAnswer` when the
    bytes do not come out even: then none of them can be trusted.
    """
    found: dict[int, bytes] = {}
    at = 1
    while at < len(data):
        pid = data[at]
        size = sizes.get(pid)
        if pid not in asked or pid in found or size is None:
            raise BadAnswer(f"PID {pid:02X} was not asked for")
        begin = at + 1 + len(after_pid)
        if data[at + 1 : begin] != after_pid:
            raise BadAnswer("another freeze frame")
        at = begin + size
        value = data[begin:at]
        if len(value) != size:
            raise BadAnswer(f"PID {pid:02X}: {len(value)} bytes, expected {size}")
        found[pid] = value
    if not found:
        raise BadAnswer("an answer without a PID")
    return found


def raw_values(answers: Mapping[int, bytes], signals: Iterable[Signal]) -> dict[int, int]:
    """Raw integers by signal id, of the signals whose PID was answered and is not filler."""
    values = {}
    for signal in signals:
        data = answers.get(-1 if signal.pid is None else signal.pid)
        raw = None if data is None else signal.decode(data)
        if raw is not None:
            values[signal.id] = raw
    return values


def supported_pids(base: int, bitmap: bytes) -> set[int]:
    """PIDs `base + 1` to `base + 32` that the four bytes of PID `base` announce."""
    bits = int.from_bytes(bitmap, "big")
    return {base + i for i in range(1, 33) if bits >> (32 - i) & 1}


def dtc_codes(messages: Iterable[Message], is_can: bool) -> dict[int, tuple[str, ...]]:
    """Trouble codes by computer of a mode 03, 07 or 0A answer. On CAN a count goes before them, and must be right."""
    codes: dict[int, list[str]] = {}
    for message in messages:
        body = message.data[1:]
        if is_can:
            if message.ecu in codes or not body or len(body) != 1 + 2 * body[0]:
                raise BadAnswer("count of trouble codes")
            body = body[1:]
        elif len(body) % 2 or len(body) > 6:
            raise BadAnswer("length of trouble codes")
        pairs = [body[i : i + 2] for i in range(0, len(body), 2)]
        codes.setdefault(message.ecu, []).extend(dtc_code(pair) for pair in pairs if any(pair))
    return {ecu: tuple(dict.fromkeys(found)) for ecu, found in codes.items()}


def dtc_code(pair: bytes) -> str:
    """Two bytes as a trouble code."""
    return f"{'PCBU'[pair[0] >> 6]}{pair[0] >> 4 & 3}{pair[0] & 0x0F:X}{pair[1]:02X}"


def info_bodies(found: Iterable[Message], info_type: int, is_can: bool) -> dict[int, tuple[int | None, bytes]]:
    """Count of items and their bytes by computer of a service 09 answer. The older protocols tell no count."""
    lines: dict[int, list[bytes]] = {}
    for message in found:
        if len(message.data) < 4 or message.data[1] != info_type:
            raise BadAnswer(f"not vehicle information {info_type:02X}")
        lines.setdefault(message.ecu, []).append(message.data[2:])
    bodies: dict[int, tuple[int | None, bytes]] = {}
    for ecu, own in lines.items():
        if is_can:
            if len(own) != 1:
                raise BadAnswer(f"two answers of {ecu:X}")
            bodies[ecu] = (own[0][0], own[0][1:])
        else:
            if [line[0] for line in own] != list(range(1, len(own) + 1)):
                raise BadAnswer("order of the lines")
            bodies[ecu] = (None, b"".join(line[1:] for line in own))
    return bodies


def vin_text(found: Sequence[Message], is_can: bool) -> str:
    """The vehicle identification number of a mode 09 PID 02 answer, of the computer with the lowest address."""
    first = min(message.ecu for message in found)
    own = [message for message in found if message.ecu == first]
    count, body = info_bodies(own, 0x02, is_can)[first]
    if count not in (None, 1):
        raise BadAnswer("count of vehicle identification numbers")
    text = body.strip(b"\x00")
    if not _VIN.fullmatch(text):
        raise BadAnswer("not a vehicle identification number")
    return text.decode("ascii")
