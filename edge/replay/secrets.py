"""Replaces what a vehicle says of itself in an adapter's text: plain, in hexadecimal, across the frames of a bus."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
import re

import msgspec

from edge.sensors.recording import BusLine, Line
from sync_protocol.errors import Rejected

VIN_LENGTH = 17
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"
_VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", (*range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True))
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_LEAST_FRAGMENT = 4
# Between two bytes: nothing; or the end of a frame, perhaps with its checksum, other frames, and a header.
_GAP = r"(?: ?|(?: ?[0-9A-Fa-f]{2})? ?[\r\n]+[0-9A-Fa-f: \r\n]{0,60}?)"
_HEAD_DIGITS = 6


def vin_in_place_of(vin: str, number: int) -> str:
    """A number of the same maker and model year that no vehicle bears, with a right check digit."""
    draft = f"{vin[:3]}ZZZZZ0{vin[9]}Z{number:06d}"
    total = sum((_VALUES.get(c) or int(c, 36) % 10) * w for c, w in zip(draft, _WEIGHTS, strict=True))
    check = "0123456789X"[total % 11]
    return draft[:8] + check + draft[9:]


class Hidden:
    """Texts and what stands in their place; both are equally long."""

    def __init__(self, replacements: Mapping[str, str], codes: Iterable[str] = ()) -> None:
        """`codes` are hexadecimal texts that stand for bytes on the bus: verification numbers of calibrations."""
        self._codes = {code: "1" * len(code) for code in codes}
        self._code_patterns = [(_pattern(bytes.fromhex(old)), bytes.fromhex(new)) for old, new in self._codes.items()]
        self._replacements = {old: new for old, new in replacements.items() if old}
        self._patterns = [(_pattern(old.encode()), new.encode()) for old, new in self._replacements.items()]
        self._fragments = [
            (_pattern(old[at : at + size].encode()), new[at : at + size].encode())
            for old, new in self._replacements.items()
            if len(old) == VIN_LENGTH
            for size in range(VIN_LENGTH - 1, _LEAST_FRAGMENT - 1, -1)
            for at in range(VIN_LENGTH - size + 1)
        ]

    def in_text(self, text: str) -> str:
        """`text` without them, plain or in hexadecimal."""
        for old, new in self._replacements.items():
            text = text.replace(old, new)
            for form in (str.upper, str.lower):
                text = text.replace(form(old.encode().hex()), form(new.encode().hex()))
        return text

    def in_value(self, value: object) -> object:
        """Whatever JSON can hold, without them."""
        if isinstance(value, str):
            return self._codes.get(value) or self.in_text(value)
        if isinstance(value, Mapping):
            return {self.in_text(str(k)) if isinstance(k, str) else k: self.in_value(v) for k, v in value.items()}
        if isinstance(value, Sequence):
            return [self.in_value(item) for item in value]
        return value

    def in_exchange(self, request: str, answer: str, digit: str) -> str:
        """The answer to `request` on the protocol `digit`, without them and as long as before."""
        changed = self.in_text(answer)
        patterns = list(self._patterns)
        patterns += self._fragments if request.startswith(("0902", "22F190")) else []
        patterns += self._code_patterns if request.startswith("0906") else []
        for pattern, new in patterns:
            changed = pattern.sub(partial(_refilled, new), changed)
        if request.startswith("0902") and changed == answer and not self._is_known(answer):
            changed = _blanked(request, changed)
        return changed if digit not in "12345" else _rechecked(answer, changed, digit)

    def _is_known(self, answer: str) -> bool:
        return any(_pattern(new.encode()).search(answer) for new in self._replacements.values())


def _pattern(secret: bytes) -> re.Pattern[str]:
    return re.compile(_GAP.join(f"({byte:02X}|{byte:02x})" for byte in secret))


def _refilled(new: bytes, match: re.Match[str]) -> str:
    text = list(match[0])
    for group, byte in enumerate(new, start=1):
        at = match.start(group) - match.start()
        digits = f"{byte:02x}" if match[group].islower() else f"{byte:02X}"
        text[at : at + 2] = digits
    return "".join(text)


def _blanked(request: str, answer: str) -> str:
    """An answer that should hold a number but cannot be read: its letters and digits are made zeros."""

    def blank(line: str) -> str:
        digits = re.sub(r"[ ]", "", line)
        if digits.startswith(request) or not re.fullmatch(r"[0-9A-Fa-f]+", digits):
            return line
        head = _HEAD_DIGITS - 3 * (len(digits) % 2)  # an address of 11 bits has three digits
        places = [at for at, digit in enumerate(line) if digit != " "][head:]
        text = list(line)
        for first, second in zip(places[::2], places[1::2], strict=False):
            if chr(int(line[first] + line[second], 16)) in _LETTERS:
                text[first], text[second] = "3", "0"
        return "".join(text)

    return "".join(blank(part) for part in re.split(r"([\r\n>]+)", answer))


def _rechecked(old: str, new: str, digit: str) -> str:
    """Where a line of an older protocol was good, its checksum is made good again."""
    lines = []
    for was, now in zip(re.split(r"([\r\n>]+)", old), re.split(r"([\r\n>]+)", new), strict=True):
        digits = was.replace(" ", "")
        if was != now and re.fullmatch(r"(?:[0-9A-Fa-f]{2}){5,}", digits):
            before, after = bytes.fromhex(digits), bytes.fromhex(now)
            if before[-1] == _checksum(before[:-1], digit):
                check = f"{_checksum(after[:-1], digit):02X}"
                at = len(now.rstrip()) - 2
                now = now[:at] + check + now[at + 2 :]
        lines.append(now)
    return "".join(lines)


def _checksum(data: bytes, digit: str) -> int:
    if digit not in "12":
        return sum(data) & 0xFF
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D if crc & 0x80 else crc << 1) & 0xFF
    return crc ^ 0xFF


def redacted_bus(lines: Iterable[Line], hidden: Hidden) -> list[Line]:
    """The lines, those of the bus without what is hidden. Every line keeps its length and its place."""
    result = list(lines)
    digit, request, answer = "0", "", list[int]()

    def finish() -> None:
        nonlocal digit
        text = "".join(line.data for at in answer if isinstance(line := result[at], BusLine))
        if request.startswith("ATDPN") and (match := re.search(r"[\r\n]A?([1-9A-C])\s*[\r\n]", text)):
            digit = match[1]
        changed = hidden.in_exchange(request, text, digit)
        if len(changed) != len(text):
            raise Rejected("a redacted answer must be as long as it was")
        for at in answer:
            line = result[at]
            assert isinstance(line, BusLine)
            result[at] = msgspec.structs.replace(line, data=changed[: len(line.data)])
            changed = changed[len(line.data) :]
        answer.clear()

    for at, line in enumerate(result):
        if not isinstance(line, BusLine):
            continue
        if line.dir == "rx":
            answer.append(at)
        elif line.dir in ("tx", "open", "end"):
            finish()
            asked = re.sub(r"[\s\x00]", "", line.data).upper() if line.dir == "tx" else ""
            if line.dir != "tx" or asked not in ("", "ATI"):  # after those a late answer to what was asked before comes
                request = asked
            if match := re.fullmatch(r"AT[ST]PA?([1-9A-C])", request):
                digit = match[1]
        if line.dir not in ("rx", "tx"):
            result[at] = msgspec.structs.replace(line, note=hidden.in_text(line.note))
    finish()
    return result
