"""An adapter that lives in the test's own event loop, and follows a script when it is told to misbehave."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import re

from tests.support.elm_fakes import ElmBrain, FakeEcu
from tests.support.loop_end import LoopEnd

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


class LoopElm(LoopEnd, ElmBrain):
    """`sent` holds when each command came."""

    def __init__(self, ecus: Mapping[int, FakeEcu] | None = None) -> None:
        LoopEnd.__init__(self)
        ElmBrain.__init__(self, ecus)
        self.script: Script | None = None
        self.latency_s = 0.0
        self.good_baud: int | None = None
        self.sent: list[tuple[float, str]] = []
        self._typed = b""
        self._coming: list[asyncio.TimerHandle] = []

    def hang_up(self) -> None:
        """See `LoopEnd`; what was coming is not sent any more."""
        self._forget()
        self._typed = b""
        super().hang_up()

    def _forget(self) -> None:
        for handle in self._coming:
            handle.cancel()
        self._coming.clear()

    def heard(self, data: bytes) -> None:
        """See `LoopEnd`."""
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

    def _call(self, at_s: float, work: Callable[..., object], *args: object) -> None:
        self._coming.append(asyncio.get_running_loop().call_later(at_s, work, *args))
