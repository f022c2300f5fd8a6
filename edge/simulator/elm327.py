"""An ELM327 1.5 as its data sheet describes it: command lines in, text out, and how long the answer takes."""

from collections.abc import Sequence
import re
from typing import NamedTuple

import msgspec

from edge.simulator.ecu import Ecu
from edge.simulator.iso_tp import frames
from edge.simulator.vehicle import Vehicle

VERSION = "ELM327 v1.5"
PROTOCOLS = {
    "0": "AUTO", "1": "SAE J1850 PWM", "2": "SAE J1850 VPW", "3": "ISO 9141-2", "4": "ISO 14230-4 (KWP 5BAUD)",
    "5": "ISO 14230-4 (KWP FAST)", "6": "ISO 15765-4 (CAN 11/500)", "7": "ISO 15765-4 (CAN 29/500)",
    "8": "ISO 15765-4 (CAN 11/250)", "9": "ISO 15765-4 (CAN 29/250)", "A": "SAE J1939 (CAN 29/250)",
    "B": "USER1 (CAN 11/125)", "C": "USER2 (CAN 11/50)",
}  # fmt: skip
# Settings that are taken and have no effect on what is simulated.
_ACCEPTED = re.compile(
    r"AL|NL|M[01]|R[01]|V[01]|D[01]|CFC[01]|FC(SM[012]|SH[0-9A-F]{3,8}|SD[0-9A-F]{2,12})|CP[0-9A-F]{2}|CM[0-9A-F]{3,8}"
    r"|CF[0-9A-F]{3,8}|CSM[01]|WM[0-9A-F]{2,12}|SW[0-9A-F]{2}|TA[0-9A-F]{2}|KW[01]|IB(10|48|96)|IIA[0-9A-F]{2}|FE|PC"
    r"|BI|SS|STM?[0-9A-F]{2}|CV[0-9]{4}|PP.*|JE|JHF[01]|JTM[15]|RA[0-9A-F]{2}|SR[0-9A-F]{2}"
)


class Latency(msgspec.Struct, frozen=True):
    """How long things take, measured on clones: the unit's own time, the wait for more units, the serial line.

    `wait_s` is what adaptive timing settles at; a frame count in the request saves it. Zero baud takes no time.
    """

    ecu_s: float = 0.025
    wait_s: float = 0.060
    command_s: float = 0.004
    reset_s: float = 0.6
    search_s: float = 1.4
    baud: int = 38_400


INSTANT = Latency(ecu_s=0, wait_s=0, command_s=0, reset_s=0, search_s=0, baud=0)


class Reply(NamedTuple):
    """Text to send after `delay_s`; a byte that arrives before then stops it, if `is_stoppable`."""

    text: str
    delay_s: float
    is_stoppable: bool = False


class Elm327:
    """The adapter's state. `respond` takes one line without its carriage return.

    `buffer_bytes` of text can wait for the serial line, which is so much slower than the bus that nothing leaves
    meanwhile; what does not fit is lost, and told as BUFFER FULL.
    """

    def __init__(
        self, vehicle: Vehicle, ecus: Sequence[Ecu], latency: Latency = INSTANT, buffer_bytes: int = 512
    ) -> None:
        self._vehicle = vehicle
        self._ecus = ecus
        self.buffer_bytes = buffer_bytes
        self._latency = latency
        self._native = "7" if vehicle.kind.has_29_bit_ids else "6"
        self._last = ""
        self._typed = 0
        self._memory = "00"
        self._defaults()

    def _defaults(self) -> None:
        self.has_echo = True
        self.has_linefeeds = False
        self._has_headers = False
        self._has_spaces = True
        self._has_formatting = True
        self._protocol = "0"
        self._is_automatic = True
        self._is_found = False
        self._header: str | None = None
        self._receive: str | None = None
        self._timeout_s = 0.2
        self._adaptive = 1

    @property
    def line_end(self) -> str:
        """What ends each line."""
        return "\r\n" if self.has_linefeeds else "\r"

    def respond(self, line: str) -> Reply:
        """Answer a command, or repeat the last one for an empty line. The prompt is part of the answer."""
        command = re.sub(r"[\x00 \t\n]", "", line).upper()
        self._typed = len(line) + 1  # the line took its time to come, too; its echo ran beside it
        if not command:
            command = self._last
        self._last = command
        if command.startswith("AT"):
            return self._finish([self._setting(command[2:])], self._command_s(command[2:]))
        if not command or not re.fullmatch(r"[0-9A-F]+", command):
            return self._finish(["?"], self._latency.command_s)
        return self._request(command)

    def stopped(self) -> str:
        """What is said when a byte interrupts a request."""
        return self._finish(["STOPPED"], 0).text

    def _command_s(self, command: str) -> float:
        return self._latency.reset_s if command in ("Z", "WS") else self._latency.command_s

    def _finish(self, lines: list[str], delay_s: float, *, is_stoppable: bool = False) -> Reply:
        text = "".join(line + self.line_end for line in lines) + self.line_end + ">"
        on_line_s = (self._typed + len(text)) * 10 / self._latency.baud if self._latency.baud else 0.0
        return Reply(text, delay_s + on_line_s, is_stoppable)

    def _setting(self, command: str) -> str:
        """Carry out an AT command, and what it prints."""
        if command in ("Z", "WS"):
            self._defaults()
            return self.line_end + VERSION
        if command == "D":
            echo, linefeeds = self.has_echo, self.has_linefeeds
            self._defaults()
            self.has_echo, self.has_linefeeds = echo, linefeeds
            return "OK"
        fixed = {
            "I": VERSION, "@1": "OBDII to RS232 Interpreter", "@2": "?", "RD": self._memory, "KW": "1:xx 2:xx",
            "RV": f"{self._vehicle.electrics.volts:.1f}V", "IGN": "ON" if self._vehicle.has_ignition else "OFF",
            "DPN": ("A" if self._is_automatic else "") + self._protocol, "DP": self._protocol_text(), "LP": "OK",
            "CS": "T:00 R:00", "BD": "00 00 00 00 00 00 00 00 00 00 00 00 00",
        }.get(command)  # fmt: skip
        if fixed is not None:
            return fixed
        if match := re.fullmatch(r"([ELSH]|CAF)([01])", command):
            is_on = match[2] == "1"
            match match[1]:
                case "E":
                    self.has_echo = is_on
                case "L":
                    self.has_linefeeds = is_on
                case "S":
                    self._has_spaces = is_on
                case "H":
                    self._has_headers = is_on
                case _:
                    self._has_formatting = is_on
            return "OK"
        return self._link_setting(command)

    def _link_setting(self, command: str) -> str:
        if match := re.fullmatch(r"[ST]P(A?)([0-9A-C])", command):
            self._is_automatic = bool(match[1]) or match[2] == "0"
            self._protocol, self._is_found = match[2], False
        elif match := re.fullmatch(r"SH([0-9A-F]{3}|[0-9A-F]{6}|[0-9A-F]{8})", command):
            self._header = match[1]
        elif match := re.fullmatch(r"CRA([0-9A-FX]{3}|[0-9A-FX]{8})?", command) or re.fullmatch(r"AR()", command):
            self._receive = match[1] or None
        elif match := re.fullmatch(r"ST([0-9A-F]{2})", command):
            self._timeout_s = (int(match[1], 16) or 0x32) * 0.004
        elif match := re.fullmatch(r"AT([012])", command):
            self._adaptive = int(match[1])
        elif match := re.fullmatch(r"SD([0-9A-F]{2})", command):
            self._memory = match[1]
        elif not _ACCEPTED.fullmatch(command):
            return "?"
        return "OK"

    def _protocol_text(self) -> str:
        if not self._is_automatic or self._protocol == "0":
            return PROTOCOLS[self._protocol]
        return f"AUTO, {PROTOCOLS[self._protocol]}"

    def _request(self, command: str) -> Reply:
        """Send hexadecimal digits on the bus; an odd last digit is the number of frames to wait for."""
        wanted = int(command[-1], 16) if len(command) % 2 else None
        data = bytes.fromhex(command[: len(command) - len(command) % 2])
        if not 1 <= len(data) <= 7:
            return self._finish(["?"], self._latency.command_s)
        lines: list[str] = []
        delay_s = 0.0
        if not self._is_found:
            delay_s += self._latency.search_s
            if self._is_automatic:
                lines.append("SEARCHING...")
            if not self._vehicle.has_ignition or not (self._is_automatic or self._protocol == self._native):
                return self._finish([*lines, "UNABLE TO CONNECT"], delay_s, is_stoppable=True)
            self._protocol, self._is_found = self._native, True
        answers = self._answers(data)
        shown = [self._format(ecu, frame) for ecu, frame in answers]
        delay_s += self._latency.ecu_s * bool(shown)
        if not shown:
            return self._finish([*lines, "NO DATA"], delay_s + self._wait_s(0), is_stoppable=True)
        if wanted is None or len(shown) < wanted:
            delay_s += self._wait_s(len(shown))
        else:
            shown = shown[:wanted] if wanted else shown
        if not self._has_headers and self._has_formatting:
            shown = self._with_lengths(answers, shown)
        return self._finish(lines + self._buffered(shown), delay_s, is_stoppable=True)

    def _buffered(self, shown: list[str]) -> list[str]:
        left_bytes = self.buffer_bytes
        for at, line in enumerate(shown):
            left_bytes -= len(line) + len(self.line_end)
            if left_bytes < 0:
                return [*shown[:at], "BUFFER FULL"]
        return shown

    def _wait_s(self, seen: int) -> float:
        """How long is waited for more: all of ATST without adaptive timing or when nothing came."""
        if self._latency.wait_s == 0:
            return 0.0
        if seen == 0 or self._adaptive == 0:
            return self._timeout_s
        return min(self._timeout_s, self._latency.wait_s / self._adaptive)

    def _answers(self, data: bytes) -> list[tuple[Ecu, bytes]]:
        if not self._vehicle.has_ignition:
            return []
        result: list[tuple[Ecu, bytes]] = []
        for ecu in self._ecus:
            is_functional = self._header in (None, "7DF", "DB33F1", "18DB33F1")
            if not is_functional and self._header not in self._own_headers(ecu):
                continue
            if self._receive is not None and not self._matches(self._identifier(ecu)):
                continue
            answer = ecu.answer(data, is_functional=is_functional)
            if answer is not None:
                result += [(ecu, frame) for frame in frames(answer, self._vehicle.kind.padding)]
        return result

    def _own_headers(self, ecu: Ecu) -> tuple[str, ...]:
        address = 0x10 + 8 * ecu.number
        return (f"7E{ecu.number:X}",) if self._native == "6" else (f"DA{address:02X}F1", f"18DA{address:02X}F1")

    def _identifier(self, ecu: Ecu) -> str:
        return f"7E{8 + ecu.number:X}" if self._native == "6" else f"18DAF1{0x10 + 8 * ecu.number:02X}"

    def _matches(self, identifier: str) -> bool:
        assert self._receive is not None
        return re.fullmatch(self._receive.replace("X", "."), identifier) is not None

    def _format(self, ecu: Ecu, frame: bytes) -> str:
        gap = " " if self._has_spaces else ""
        if self._has_headers:
            identifier = self._identifier(ecu)
            parts = [identifier] if len(identifier) == 3 else re.findall("..", identifier)
            return "".join(part + gap for part in [*parts, *(f"{byte:02X}" for byte in frame)])
        if not self._has_formatting:
            return "".join(f"{byte:02X}{gap}" for byte in frame)
        kind = frame[0] >> 4
        if kind == 0:
            return "".join(f"{byte:02X}{gap}" for byte in frame[1 : 1 + frame[0]])
        content = frame[2:] if kind == 1 else frame[1:]
        number = 0 if kind == 1 else frame[0] & 0x0F
        return f"{number:X}:{gap}" + "".join(f"{byte:02X}{gap}" for byte in content)

    def _with_lengths(self, answers: list[tuple[Ecu, bytes]], shown: list[str]) -> list[str]:
        """Before a first frame stands the length of the whole answer."""
        result: list[str] = []
        for (_, frame), line in zip(answers, shown, strict=False):
            if frame[0] >> 4 == 1:
                result.append(f"{(frame[0] & 0x0F) << 8 | frame[1]:03X}" + (" " if self._has_spaces else ""))
            result.append(line)
        return result
