"""An ELM327 with a vehicle behind it, on a pty, that can be told to misbehave. And a sink that keeps what it gets."""

from collections.abc import Callable, Iterable, Mapping
import contextlib
from dataclasses import dataclass, field
import os
from pathlib import Path
import pty
import select
import termios
import threading
import time
import tty
from typing import Any

from sync_protocol.messages import MarkKind, TimeAnchor

VIN = "1HGBH41JXMN109186"


def boot_ms() -> int:
    """The device's clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def iso_tp(ecu: int, data: bytes, *, is_padded: bool = True) -> list[str]:
    """The lines an ELM327 prints with headers on and spaces off for one message (11 bit addresses)."""
    size = 8 if is_padded else 0
    if len(data) < 8:
        frames = [bytes([len(data)]) + data]
    else:
        frames = [bytes([0x10 | len(data) >> 8, len(data) & 0xFF]) + data[:6]]
        for n, at in enumerate(range(6, len(data), 7), start=1):
            frames.append(bytes([0x20 | n & 0x0F]) + data[at : at + 7])
    return [f"{ecu:03X}" + frame.ljust(size, b"\x00").hex().upper() for frame in frames]


def older_lines(ecu: int, data: bytes) -> list[str]:
    """The lines of one answer by ISO 9141-2: no counts, four bytes of a VIN or three codes a line, a checksum."""
    if data[0] == 0x49:
        vin = data[3:].rjust(20, b"\x00")
        parts = [data[:2] + bytes([n + 1]) + vin[n * 4 : n * 4 + 4] for n in range(5)]
    elif data[0] in (0x43, 0x47):
        codes = data[2:].ljust(max(6, -(-len(data[2:]) // 6) * 6), b"\x00")
        parts = [data[:1] + codes[at : at + 6] for at in range(0, len(codes), 6)]
    else:
        parts = [data]
    lines = [b"\x48\x6b" + bytes([ecu]) + part for part in parts]
    return [(line + bytes([sum(line) & 0xFF])).hex().upper() for line in lines]


def encode_dtc(code: str) -> bytes:
    """`P0143` to its two bytes."""
    return ("PCBU".index(code[0]) << 14 | int(code[1]) << 12 | int(code[2:], 16)).to_bytes(2, "big")


@dataclass
class FakeEcu:
    """An engine computer: data bytes by PID, trouble codes by service."""

    pids: dict[int, bytes] = field(default_factory=dict)
    dtcs: dict[int, list[str]] = field(default_factory=dict)
    vin: str | None = None

    def answer(self, request: bytes) -> bytes | None:
        """The answer's bytes from the service number on; None for silence."""
        service = request[0]
        if service == 0x01:
            found = b"".join(bytes([pid]) + data for pid in request[1:] if (data := self._mode01(pid)) is not None)
            return b"\x41" + found if found else None
        if service in (0x03, 0x07, 0x0A):
            codes = self.dtcs.get(service, [])
            return bytes([service + 0x40, len(codes)]) + b"".join(map(encode_dtc, codes))
        if request == b"\x09\x02" and self.vin is not None:
            return b"\x49\x02\x01" + self.vin.encode()
        return None

    def _mode01(self, pid: int) -> bytes | None:
        if pid % 0x20:
            return self.pids.get(pid)
        has = [p for p in self.pids if p > pid]
        bits = sum(1 << (32 - (p - pid)) for p in has if p <= pid + 0x20) | any(p > pid + 0x20 for p in has)
        return bits.to_bytes(4, "big") if has or pid == 0 else None


def engine(**dtcs: list[str]) -> FakeEcu:
    """A running engine at 50 km/h and 2000 rpm."""
    pids = {
        0x01: bytes.fromhex("0007E500"),
        0x04: b"\x60",
        0x05: b"\x82",
        0x0C: b"\x1f\x40",
        0x0D: b"\x32",
        0x0F: b"\x41",
        0x11: b"\x30",
        0x2F: b"\x80",
        0x42: b"\x37\x14",
    }
    return FakeEcu(pids, {{"stored": 3, "pending": 7, "permanent": 10}[k]: v for k, v in dtcs.items()}, VIN)


class ElmBrain:
    """What an adapter says. Set its attributes at any time; `received` holds every command it got.

    `override(command)` may return the raw bytes to send instead of an answer (with or without a prompt), or None.
    """

    def __init__(self, ecus: Mapping[int, FakeEcu] | None = None) -> None:
        self.ecus = dict(ecus or {0x7E8: engine()})
        self.received: list[str] = []
        self.override: Callable[[str], bytes | None] = lambda command: None
        self.bus_text: str | None = None  # what the adapter prints instead of any vehicle's answer
        self.voltage: str | None = "14.1V"
        self.version = "ELM327 v1.5"
        self.protocol = "6"
        self.has_multi_pid = True
        self.has_frame_count = True
        self.has_echo = True
        self.only_baud: int | None = None
        self.unknown: set[str] = set()  # AT commands answered with `?`
        self.power_up()

    def power_up(self) -> None:
        """Start with an adapter's own settings."""
        self._selected = "0"
        self._echo = True
        self._headers = False

    def asked(self, prefix: str = "") -> list[str]:
        """The commands so far that start so."""
        return [command for command in self.received if command.startswith(prefix)]

    def reply(self, command: str, echo: bytes) -> bytes:
        raw = self.override(command)
        if raw is not None:
            return raw
        lines = self._at(command[2:]) if command.startswith("AT") else self._obd(command)
        return echo + "".join(line + "\r" for line in lines).encode() + b"\r>"

    def _at(self, command: str) -> list[str]:
        if command in self.unknown:
            return ["?"]
        if command == "Z":
            self._echo, self._headers = True, False
            return ["", self.version]
        if command == "I":
            return [self.version]
        if command == "H1":
            self._headers = True
        if command == "RV":
            return ["?" if self.voltage is None else self.voltage]
        if command == "DPN":
            return [self.protocol if self._selected != "0" else "A" + self.protocol]
        if command.startswith("SP"):
            self._selected = command[2:]
        return ["OK"]

    def _obd(self, command: str) -> list[str]:
        if self.bus_text is not None:
            return [self.bus_text]
        if self._selected not in ("0", self.protocol):
            return ["CAN ERROR"]
        count = None
        if len(command) % 2:
            if not self.has_frame_count:
                return ["?"]
            command, count = command[:-1], int(command[-1], 16)
        request = bytes.fromhex(command)
        if request[0] == 1 and len(request) > 2 and not self.has_multi_pid:
            return ["NO DATA"]
        lines: list[str] = ["SEARCHING..."] if self._selected == "0" and command == "0100" else []
        frames = iso_tp if self.protocol in "68" else older_lines
        found = [line for ecu, it in self.ecus.items() if (data := it.answer(request)) for line in frames(ecu, data)]
        if not self._headers:
            found = [line[5:] for line in found]
        return lines + found[:count] if found else [*lines, "NO DATA"]


class FakeElm(ElmBrain):
    """The adapter on a pty, in a thread of its own."""

    def __init__(self, link: Path, ecus: Mapping[int, FakeEcu] | None = None) -> None:
        super().__init__(ecus)
        self.link = link
        self.plug()

    def plug(self) -> None:
        """Appear (again) under the same name."""
        self.power_up()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self._stop_r, self._stop_w = os.pipe()
        fresh = self.link.with_name(self.link.name + ".new")
        fresh.symlink_to(os.ttyname(self._slave))
        fresh.replace(self.link)
        self._thread = threading.Thread(target=self._serve, name="fake-elm", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Vanish: the port ends for whoever holds it open."""
        os.write(self._stop_w, b"x")
        self._thread.join(5)
        for fd in (self._master, self._slave, self._stop_r, self._stop_w):
            os.close(fd)
        self.link.unlink(missing_ok=True)

    close = unplug

    def send(self, data: bytes) -> None:
        """Bytes out of nowhere."""
        os.write(self._master, data)

    def _serve(self) -> None:
        typed = bytearray()
        while True:
            readable, _, _ = select.select([self._master, self._stop_r], [], [])
            if self._stop_r in readable:
                return
            for byte in os.read(self._master, 4096):
                if byte != 0x0D:
                    typed.append(byte)
                    continue
                command = typed.decode("ascii", "replace").replace(" ", "").upper()
                echo = bytes(typed) + b"\r" if self._echo and self.has_echo else b""
                typed.clear()
                self.received.append(command)
                with contextlib.suppress(OSError):
                    os.write(self._master, self._answer(command, echo))

    def _answer(self, command: str, echo: bytes) -> bytes:
        if self.only_baud is not None and termios.tcgetattr(self._slave)[4] != self.only_baud:
            return b"\xfe\x00\x83"
        return self.reply(command, echo)


@dataclass
class CollectingSink:
    """Keeps rows, marks, events and anchors in the order they came."""

    rows: list[tuple[str, int, dict[int, int]]] = field(default_factory=list)
    marks: list[tuple[tuple[int, ...], int, str]] = field(default_factory=list)
    events: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    anchors: list[TimeAnchor] = field(default_factory=list)

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        self.rows.append((group, boot_ms, dict(values)))

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        self.marks.append((tuple(signal_ids), boot_ms, kind))

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        self.events.append((kind, boot_ms, data))

    def anchor(self, anchor: TimeAnchor) -> None:
        self.anchors.append(anchor)

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for k, _, data in self.events if k == kind]

    def last(self, signal_id: int) -> int | None:
        return next((values[signal_id] for _, _, values in reversed(self.rows) if signal_id in values), None)
