"""Answers of engine computers, and what a bad line or a bad program can make of them. All from a seed.

Which damage nobody can see, and is therefore left out of the count (`Case.is_unseen`): a line that is not one of the
true ones, but well-formed for the same computer, service, PIDs and length, so that only data digits differ (or, where
all computers are asked for codes, the number of the computer). CAN frames reach us without their checksum, as digits
on a serial line. On older buses the checksum is in the line, so changed data is seen and counted; what stays unseen
there is a line whose checksum is right as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
import random
import re

from edge.sensors.obd.answer import Bus
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import VIN, encode_dtc

HEX = "0123456789ABCDEF"
TEXTS = (
    "NO DATA",
    "STOPPED",
    "BUFFER FULL",
    "CAN ERROR",
    "<DATA ERROR",
    "SEARCHING...",
    "?",
    "OK",
    "BUS INIT: OK",
    "\xff",
)


@dataclass
class Case:
    """One true answer: its request, its lines, and by computer what it says (all bytes after the service)."""

    bus: Bus
    request: bytes
    said: Mapping[int, bytes]
    lines: Sequence[str]
    owner: int
    filler: bytes | None = None
    _templates: list[re.Pattern[str]] = field(default_factory=list)

    @property
    def pids(self) -> tuple[int, ...]:
        """The PIDs asked for, of service 01."""
        return tuple(self.request[1:])

    def is_unseen(self, lines: Sequence[str]) -> bool:
        """Whether a line is there that nobody could tell from a true one."""
        if not self._templates:
            self._templates = [
                re.compile(t.replace(".", "[0-9A-F]"))
                for ecu, data in self.said.items()
                for t in self._shapes(ecu, data)
            ]
        for line in map(_plain, lines):
            if line in self.lines or not any(template.fullmatch(line) for template in self._templates):
                continue
            if self.bus.is_can or _checked(line[:-2], self.bus) == line:
                return True
        return False

    def _shapes(self, ecu: int, data: bytes) -> list[str]:
        mask = self._mask(data)
        if not self.bus.is_can:
            # Any number of lines and any checksum: the caller computes it.
            return [_older_header(ecu, self.bus, len(part)) + part_mask + ".." for part, part_mask in self._parts(data)]
        head = _header(ecu, self.bus)
        if self.request[0] == 0x03:  # which asks all computers there may be
            head = "7E[89A-F]" if self.bus.header_digits == 3 else "18DAF1.."
        if len(data) < 8:
            filler = 7 - len(data)
            return [f"{head}{len(data):02X}{mask}(..){{{filler}}}", f"{head}{len(data):02X}{mask}"]
        shapes = [f"{head}1{len(data):03X}{mask[:12]}"]
        for n, at in enumerate(range(12, len(mask), 14), start=1):
            part = mask[at : at + 14]
            shapes += [f"{head}2{n & 15:X}{part}(..){{{(14 - len(part)) // 2}}}", f"{head}2{n & 15:X}{part}"]
        return shapes

    def _parts(self, data: bytes) -> list[tuple[bytes, str]]:
        return [(part, self._mask(part)) for part in _older_parts(data)]

    def _mask(self, data: bytes) -> str:
        """The digits of `data`, with a dot for each that is a value and not part of the order of things."""
        digits = list(data.hex().upper())
        fixed = {0}
        if self.request[0] == 0x01:
            at = 1
            while at < len(data):
                fixed.add(at)
                at += 1 + catalogue().pid_bytes[data[at]]
        else:
            fixed |= {1, 2} if self.request[0] == 0x09 else {1} if self.bus.is_can else set()
        return "".join(d if n // 2 in fixed else "." for n, d in enumerate(digits))


def _plain(line: str) -> str:
    """Without what every reader of an ELM327 takes away: spaces, and the progress texts before an answer."""
    return re.sub(r"^(SEARCHING\.*|BUSINIT:?\.*(OK)?)", "", line.upper().replace(" ", "").replace("\x00", ""))


def _header(ecu: int, bus: Bus) -> str:
    return f"{ecu:0{bus.header_digits}X}"


def _older_header(ecu: int, bus: Bus, size: int) -> str:
    first = {"1": 0x41, "2": 0x48, "3": 0x48, "4": 0x80 + size, "5": 0x80 + size}[bus.digit]
    return bytes([first, 0x6B if bus.digit in "123" else 0xF1, ecu]).hex().upper()


def _older_parts(data: bytes) -> list[bytes]:
    if data[0] == 0x49:
        vin = data[3:].rjust(20, b"\x00")
        return [data[:2] + bytes([n + 1]) + vin[n * 4 : n * 4 + 4] for n in range(5)]
    if data[0] == 0x43:
        return [data[:1] + data[1:].ljust(6, b"\x00")]
    return [data]


def _checked(digits: str, bus: Bus) -> str:
    data = bytes.fromhex(digits)
    return digits + f"{_crc8(data) if bus.digit in '12' else sum(data) & 0xFF:02X}"


def _crc8(data: bytes) -> int:
    """J1850's, bit by bit from the polynomial: x^8 + x^4 + x^3 + x^2 + 1."""
    register = 0xFF
    for bit in (byte >> n & 1 for byte in data for n in range(7, -1, -1)):
        top = register >> 7
        register = register << 1 & 0xFF
        if top ^ bit:
            register ^= 0x1D
    return register ^ 0xFF


def frames(ecu: int, data: bytes, bus: Bus, filler: bytes | None) -> list[str]:
    """The lines of one message. CAN frames are filled up with `filler`, or end with their data."""
    if not bus.is_can:
        return [_checked(_older_header(ecu, bus, len(part)) + part.hex().upper(), bus) for part in _older_parts(data)]
    parts = [bytes([len(data)]) + data]
    if len(data) > 7:
        parts = [bytes([0x10 | len(data) >> 8, len(data) & 0xFF]) + data[:6]]
        parts += [bytes([0x20 | n & 15]) + data[at : at + 7] for n, at in enumerate(range(6, len(data), 7), start=1)]
    return [_header(ecu, bus) + (part.ljust(8, filler) if filler else part).hex().upper() for part in parts]


def make_case(chance: random.Random) -> Case:
    """One of all kinds: single and several PIDs, one to three computers, VIN and trouble codes, CAN and older buses."""
    bus = Bus(chance.choice("66667899" + "12345"))
    filler = chance.choice((None, b"\x00", b"\xaa", b"\x55"))
    first = {3: 0x7E8, 8: 0x18DAF110, 6: 0x10}[bus.header_digits]
    ecus = [first + n for n in range(chance.choice((1, 1, 1, 2, 3)))]
    kind = chance.random()
    if kind < 0.08:
        request, said = b"\x09\x02", {first: b"\x49\x02\x01" + VIN.encode()}
    elif kind < 0.16:
        request, said = b"\x03", {ecu: _codes(chance, bus) for ecu in ecus}
    else:
        known = [pid for pid in catalogue().by_pid if pid not in (0x06, 0x07, 0x08, 0x09)]
        count = chance.choice((1, 1, 2, 3, 6)) if bus.is_can else 1
        pids = chance.sample(known, count)
        request = bytes([1, *pids])
        said = {ecu: b"\x41" + b"".join(bytes([p]) + _data(chance, p) for p in pids) for ecu in ecus}
    lines = [line for ecu, data in said.items() for line in frames(ecu, data, bus, filler)]
    return Case(bus, request, said, lines, first, filler)


def _data(chance: random.Random, pid: int) -> bytes:
    # Often bytes that look like something else: PIDs, lengths, services.
    tricky = (0x00, 0x01, 0x03, 0x04, 0x0C, 0x0D, 0x41, 0x7F, 0x10, 0x21, 0xAA, 0xFF)
    size = catalogue().pid_bytes[pid]
    return bytes(chance.choice(tricky) if chance.random() < 0.5 else chance.randrange(256) for _ in range(size))


def _codes(chance: random.Random, bus: Bus) -> bytes:
    codes = [f"{chance.choice('PCBU')}{chance.randrange(4)}{chance.randrange(1, 4096):03X}" for _ in range(12)]
    codes = codes[: chance.choice((0, 1, 2, 5, 12)) if bus.is_can else chance.choice((0, 1, 3))]
    return b"\x43" + (bytes([len(codes)]) if bus.is_can else b"") + b"".join(map(encode_dtc, codes))


def mutate(case: Case, chance: random.Random) -> list[str]:
    """One to three kinds of damage, one after the other."""
    lines = list(case.lines)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if not lines:
            break
        chance.choice(_DAMAGE)(lines, case, chance)
    return lines


def _on_line(change: Callable[[str, int, random.Random], str]) -> Callable[[list[str], Case, random.Random], None]:
    def damage(lines: list[str], case: Case, chance: random.Random) -> None:
        n = chance.randrange(len(lines))
        if lines[n]:
            lines[n] = change(lines[n], chance.randrange(len(lines[n])), chance)

    return damage


def _structure(lines: list[str], case: Case, chance: random.Random) -> None:
    """Another digit in header, length, sequence number, service or PID, where most of the harm is done."""
    n = chance.randrange(len(lines))
    at = chance.randrange(min(len(lines[n]), case.bus.header_digits + 8) or 1)
    lines[n] = lines[n][:at] + chance.choice(HEX) + lines[n][at + 1 :]


def _drop(lines: list[str], case: Case, chance: random.Random) -> None:
    # Older buses do not count trouble codes: a line of them that is lost as a whole is missed by nobody.
    if case.bus.is_can or case.request[0] != 0x03:
        del lines[chance.randrange(len(lines))]


def _repeat(lines: list[str], case: Case, chance: random.Random) -> None:
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))


def _swap(lines: list[str], case: Case, chance: random.Random) -> None:
    a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]


def _shuffle(lines: list[str], case: Case, chance: random.Random) -> None:
    chance.shuffle(lines)


def _splice(lines: list[str], case: Case, chance: random.Random) -> None:
    n, other = chance.randrange(len(lines)), chance.choice(lines)
    lines[n] = lines[n][: chance.randrange(len(lines[n]) + 1)] + other[chance.randrange(len(other) + 1) :]


def _join(lines: list[str], case: Case, chance: random.Random) -> None:
    """The line end between two lines is lost."""
    n = chance.randrange(len(lines))
    lines[n : n + 2] = ["".join(lines[n : n + 2])]


def _noise(lines: list[str], case: Case, chance: random.Random) -> None:
    lines.insert(chance.randrange(len(lines) + 1), "".join(chance.choice(HEX) for _ in range(chance.randrange(1, 24))))


def _text(lines: list[str], case: Case, chance: random.Random) -> None:
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(TEXTS))


def _refusal(lines: list[str], case: Case, chance: random.Random) -> None:
    ecu = chance.choice([*case.said, case.owner + 5])
    data = bytes([0x7F, case.request[0], chance.choice((0x11, 0x12, 0x22, 0x78))])
    lines.insert(chance.randrange(len(lines) + 1), frames(ecu, data, case.bus, case.filler)[0])


def _stranger(lines: list[str], case: Case, chance: random.Random) -> None:
    """Another answer, whole, interleaved: of another PID, service or computer."""
    other = make_case(chance)
    while other.request == case.request or other.bus != case.bus:
        other = make_case(chance)
    at = sorted(chance.randrange(len(lines) + 1) for _ in other.lines)
    for n, line in enumerate(other.lines):
        lines.insert(at[n] + n, line)


_DAMAGE: Sequence[Callable[[list[str], Case, random.Random], None]] = (
    _structure,
    _structure,
    _on_line(lambda line, at, chance: line[:at] + chance.choice(HEX) + line[at + 1 :]),
    _on_line(lambda line, at, chance: line[:at] + chance.choice("GZ?<: .\x00\x7f") + line[at + 1 :]),
    _on_line(lambda line, at, chance: line[:at] + line[at + 1 :]),
    _on_line(lambda line, at, chance: line[:at] + line[at + 2 :]),
    _on_line(lambda line, at, chance: line[:at] + line[at] + line[at:]),
    _on_line(lambda line, at, chance: line[:at] + line[at : at + 2] + line[at:]),
    _on_line(lambda line, at, chance: line[:at] + line[at : at + 2][::-1] + line[at + 2 :]),
    _on_line(lambda line, at, chance: line[:at]),
    _on_line(lambda line, at, chance: line[at:]),
    _on_line(lambda line, at, chance: line[:at] + chance.choice(TEXTS) + line[at:]),
    _on_line(lambda line, at, chance: line + "".join(chance.choice(HEX) for _ in range(chance.choice((1, 2, 4, 6))))),
    _drop,
    _repeat,
    _swap,
    _shuffle,
    _splice,
    _join,
    _noise,
    _text,
    _refusal,
    _stranger,
)
