"""From the lines an adapter prints to whole messages of engine computers. Strict: one bad line spoils the answer.

Works on what an ELM327 prints with headers on (ATH1): CAN frames with ISO-TP (ISO 15765-2) lengths and sequence
numbers, or the older protocols' bytes with their checksum.
"""

from collections.abc import Collection, Iterable, Sequence
import re
from typing import NamedTuple

from edge.sensors.obd.errors import BadAnswer, BusError, BusKind, NegativeAnswer, NotUnderstood


class Message(NamedTuple):
    """What one engine computer said: its address on the bus, and the bytes from the service number on."""

    ecu: int
    data: bytes


class Bus(NamedTuple):
    """A protocol of the ELM327 by its digit (`6` is ISO 15765-4, 11 bit, 500 kbit/s)."""

    digit: str

    @property
    def is_can(self) -> bool:
        """Whether messages are ISO-TP on CAN."""
        return self.digit in CAN_DIGITS

    @property
    def name(self) -> str:
        """As in SAE J1979 and ISO 15765-4."""
        return BUS_NAMES.get(self.digit, f"protocol {self.digit}")

    @property
    def header_digits(self) -> int:
        """Hexadecimal digits before the data of a line."""
        return {"6": 3, "8": 3, "7": 8, "9": 8}.get(self.digit, 6)

    def is_computer(self, ecu: int) -> bool:
        """Whether an answer to a question put to all can come from this address (ISO 15765-4)."""
        if not self.is_can:
            return True
        return ecu >> 3 == 0x7E8 >> 3 if self.header_digits == 3 else ecu >> 8 == 0x18DAF1


CAN_DIGITS = "6789"
BUS_NAMES = {
    "1": "SAE J1850 PWM",
    "2": "SAE J1850 VPW",
    "3": "ISO 9141-2",
    "4": "ISO 14230-4 KWP, slow init",
    "5": "ISO 14230-4 KWP, fast init",
    "6": "ISO 15765-4 CAN 11/500",
    "7": "ISO 15765-4 CAN 29/500",
    "8": "ISO 15765-4 CAN 11/250",
    "9": "ISO 15765-4 CAN 29/250",
}

_KINDS: dict[str, BusKind] = {
    "NODATA": "no_data",
    "STOPPED": "stopped",
    "BUFFERFULL": "buffer_full",
    "CANERROR": "can_error",
    "UNABLETOCONNECT": "unable_to_connect",
    "BUSBUSY": "bus_busy",
    "BUSERROR": "bus_error",
    "FBERROR": "feedback_error",
    "DATAERROR": "data_error",
    "RXERROR": "data_error",
    "ACTALERT": "adapter_alert",
    "LPALERT": "adapter_alert",
}
_PROGRESS = re.compile(r"^(?:SEARCHING\.*|BUSINIT:?\.*(?:OK)?)")
_HEX = re.compile(r"[0-9A-F]+")
_RESPONSE_PENDING = 0x78


def data_lines(lines: Iterable[str]) -> list[str]:
    """The lines that carry data, without spaces and progress texts; raises what an error text stands for."""
    kept = []
    for line in lines:
        text = line.upper().replace(" ", "")
        if re.fullmatch(r"(?:BUSINIT:?\.*)?ERROR", text):  # clones say it in two lines
            raise BusError("bus_init", line)
        text = _PROGRESS.sub("", text)
        if not text:
            continue
        if text == "?":
            raise NotUnderstood(line)
        for word, kind in _KINDS.items():
            if text.startswith(word) or text.endswith("<" + word):
                raise BusError(kind, line)
        if re.fullmatch(r"ERR\d\d", text):
            raise BusError("adapter_error", line)
        kept.append(text)
    if not kept:
        raise BadAnswer("no data in the answer")
    return kept


def messages(lines: Sequence[str], bus: Bus, padded: Collection[int] = ()) -> list[Message]:
    """Whole messages in the order of their first line. `BadAnswer` for anything that is not one.

    `padded` are computers known to fill their CAN frames up: a shorter one of theirs has lost bytes on the serial line.
    """
    head = bus.header_digits
    parts: list[tuple[int, bytes]] = []
    for line in lines:
        if not _HEX.fullmatch(line) or len(line) <= head + 1 or (len(line) - head) % 2:
            raise BadAnswer(f"not a line of {bus.name}: {line[:40]!r}")
        body = bytes.fromhex(line[head:])
        if bus.is_can:
            parts.append((int(line[:head], 16), body))
        else:
            parts.append(_older(bytes.fromhex(line[:head]), body, bus))
    return _iso_tp(parts, padded) if bus.is_can else [Message(*part) for part in parts]


def padding_ecus(lines: Iterable[str], bus: Bus) -> set[int]:
    """The computers that filled up a frame in these lines, which `messages` has found good."""
    head = bus.header_digits
    short = [line for line in lines if bus.is_can and len(line) == head + 16 and line[head] == "0"]
    return {int(line[:head], 16) for line in short if int(line[head + 1], 16) < 7}


def _older(header: bytes, body: bytes, bus: Bus) -> tuple[int, bytes]:
    data, check = body[:-1], body[-1]
    expected = _crc8(header + data) if bus.digit in "12" else sum(header + data) & 0xFF
    if check != expected:
        raise BadAnswer(f"checksum {check:02X}, expected {expected:02X}")
    if not data or (bus.digit in "45" and header[0] & 0x3F not in (0, len(data))):
        raise BadAnswer("length of the line")
    return header[2], data


def _crc8(data: bytes) -> int:
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def _iso_tp(frames: Sequence[tuple[int, bytes]], padded: Collection[int]) -> list[Message]:
    done: list[Message] = []
    open_: dict[int, tuple[int, bytearray, int]] = {}  # by ECU: length, bytes so far, next sequence number
    for ecu, frame in frames:
        kind, low = frame[0] >> 4, frame[0] & 0x0F
        if len(frame) > 8 or (len(frame) < 8 and ecu in padded):
            raise BadAnswer(f"{len(frame)} bytes in a CAN frame of {ecu:X}")
        if kind == 0:
            # A controller pads to 8 bytes or not at all: any other size means that bytes went missing.
            if not 1 <= low <= 7 or len(frame) not in (low + 1, 8) or ecu in open_:
                raise BadAnswer("single frame")
            done.append(Message(ecu, frame[1 : 1 + low]))
        elif kind == 1:
            length = low << 8 | frame[1] if len(frame) == 8 else 0
            if length < 8 or ecu in open_:
                raise BadAnswer("first frame")
            open_[ecu] = (length, bytearray(frame[2:]), 1)
        elif kind == 2:
            if ecu not in open_:
                raise BadAnswer("consecutive frame without a first one")
            length, data, expected = open_.pop(ecu)
            rest = length - len(data)
            if low != expected or len(frame) not in (min(rest, 7) + 1, 8):
                raise BadAnswer(f"consecutive frame {low}, expected {expected}")
            data += frame[1 : 1 + min(rest, 7)]
            if len(data) == length:
                done.append(Message(ecu, bytes(data)))
            else:
                open_[ecu] = (length, data, expected + 1 & 0x0F)
        else:
            raise BadAnswer(f"frame kind {kind}")
    if open_:
        raise BadAnswer("a message breaks off")
    return done


def positive(found: Sequence[Message], service: int) -> list[Message]:
    """The messages that answer `service`; `NegativeAnswer` when all computers refused, `BadAnswer` for another service.

    A refusal of one computer does not spoil what another one answered.
    """
    good: list[Message] = []
    refusal: NegativeAnswer | None = None
    for message in found:
        if message.data[0] == 0x7F:
            if len(message.data) != 3 or message.data[1] != service:
                raise BadAnswer(f"negative answer {message.data.hex()}")
            if refusal is None or message.data[2] != _RESPONSE_PENDING:
                refusal = NegativeAnswer(service, message.data[2])
        elif message.data[0] != service + 0x40:
            raise BadAnswer(f"answers service {message.data[0] - 0x40:02X}, asked {service:02X}")
        else:
            good.append(message)
    if not good:
        raise refusal or BadAnswer("no answer")
    return good
