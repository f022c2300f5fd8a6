"""An adapter that lives in the test's own event loop, and follows a script when it is told to misbehave."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import re
import socket
from typing import cast

import serial

from edge.sensors.obd.errors import AdapterLost
from edge.sensors.obd.port import Port
from tests.support.elm_fakes import ElmBrain, FakeEcu

UNPLUG = "unplug"
RESTART = "restart"
Step = tuple[float, str]
"""Seconds after the step before, and what the adapter then sends; or UNPLUG; or RESTART, which forgets its settings.

Of what a good adapter would say, `{echo}` is the first line, `{answer}` the rest without its prompt, `{first}` its
beginning that breaks off in a frame, `{second}` what is left, and `{lower}` all of it in small letters.
"""


@dataclass(frozen=True)
class Script:
    """What replaces the answers to the commands that match `on`. No steps are silence."""

    steps: Sequence[Step]
    on: str = r"(?!AT).*"

    def fits(self, command: str) -> bool:
        """Whether this command is answered so."""
        return re.fullmatch(self.on, command) is not None


class _End:
    """The part of a serial connection that `Port` uses."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()


class LoopElm(ElmBrain):
    """`open` is what a sensor is given to open its port with. `sent` holds when each command came."""

    def __init__(self, ecus: Mapping[int, FakeEcu] | None = None) -> None:
        super().__init__(ecus)
        self.is_plugged = True
        self.script: Script | None = None
        self.latency_s = 0.0
        self.good_baud: int | None = None
        self.opened: list[int] = []
        self.sent: list[tuple[float, str]] = []
        self._end: socket.socket | None = None
        self._typed = b""
        self._coming: list[asyncio.TimerHandle] = []

    async def open(self, _url: str, baud: int, _deadline_s: float) -> Port:
        """As `Port.open`."""
        if not self.is_plugged:
            raise AdapterLost("opening: no such file")
        self._hang_up()
        self.opened.append(baud)
        ours, self._end = socket.socketpair()
        self._end.setblocking(False)
        asyncio.get_running_loop().add_reader(self._end, self._readable, self._end)
        return Port(cast(serial.SerialBase, _End(ours)))

    def unplug(self) -> None:
        """End the connection; nobody can open another."""
        self.is_plugged = False
        self._hang_up()
        self.power_up()

    def plug(self) -> None:
        """Be there again."""
        self.is_plugged = True

    def send(self, data: bytes) -> None:
        """Bytes out of nowhere."""
        if self._end is not None:
            try:
                self._end.send(data)
            except (BrokenPipeError, BlockingIOError):
                return

    def _hang_up(self) -> None:
        self._forget()
        self._typed = b""
        if self._end is not None:
            asyncio.get_running_loop().remove_reader(self._end)
            self._end.close()
            self._end = None

    def _forget(self) -> None:
        for handle in self._coming:
            handle.cancel()
        self._coming.clear()

    def _readable(self, end: socket.socket) -> None:
        try:
            data = end.recv(4096)
        except ConnectionError:
            data = b""
        if not data:
            self._hang_up()
            return
        if self._coming and self.script is None:
            self._forget()  # a byte stops what is under way, and is not kept
            self.send(b"STOPPED\r\r>")
            return
        self._typed += data
        while b"\r" in self._typed:
            line, self._typed = self._typed.split(b"\r", 1)
            self._on_line(line)

    def _on_line(self, line: bytes) -> None:
        command = line.decode("ascii", "replace").replace(" ", "").upper()
        self.received.append(command)
        self.sent.append((asyncio.get_running_loop().time(), command))
        if self.good_baud is not None and self.opened[-1] != self.good_baud:
            self.send(b"\xfe\x00\x83\xf8")
            return
        echo = line.decode("latin-1") + "\r" if self._echo and self.has_echo else ""
        script = self.script
        if script is not None and script.fits(command):
            self._play(script, echo, command)
        elif self.latency_s and not command.startswith("AT"):
            self._later(self.latency_s, self.reply(command, echo.encode("latin-1")))
        else:
            self.send(self.reply(command, echo.encode("latin-1")))

    def _play(self, script: Script, echo: str, command: str) -> None:
        answer = self.reply(command, b"").decode("latin-1").removesuffix("\r>")
        half = 7  # in the middle of the first frame
        parts = {"echo": echo, "answer": answer, "first": answer[:half], "second": answer[half:]}
        parts["lower"] = answer.lower()
        at_s = 0.0
        for delay_s, text in script.steps:
            at_s += delay_s
            if text == UNPLUG:
                self._call(at_s, self.unplug)
            elif text == RESTART:
                self._call(at_s, self.power_up)
            else:
                self._later(at_s, text.format(**parts).encode("latin-1"))

    def _later(self, at_s: float, data: bytes) -> None:
        if at_s <= 0:
            self.send(data)
        else:
            self._call(at_s, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._coming = [handle for handle in self._coming if handle.when() > loop.time()]
        self.send(data)

    def _call(self, at_s: float, work: object, *args: object) -> None:
        self._coming.append(asyncio.get_running_loop().call_later(at_s, work, *args))  # type: ignore[arg-type]
