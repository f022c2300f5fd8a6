"""An adapter that may answer much later, behind a link that may hold bytes back; a vehicle that tells the time."""

import asyncio
from dataclasses import dataclass
import random
import re

from tests.support.elm_fakes import ElmBrain, FakeEcu, engine
from tests.support.loop_end import LoopEnd

TIME_PIDS = (0x0C, 0x42)
TICK_S = 0.01
_STOPPING_S = 0.02


class ClockEcu(FakeEcu):
    """Answers the PIDs of `TIME_PIDS` with the loop's time at which it was asked, in ticks."""

    def answer(self, request: bytes) -> bytes | None:
        ticks = round(asyncio.get_running_loop().time() / TICK_S) % 0x10000
        self.pids.update(dict.fromkeys(TIME_PIDS, ticks.to_bytes(2, "big")))
        return super().answer(request)


@dataclass(frozen=True)
class Habits:
    """What this adapter does with bytes that come while a request runs, and how it echoes.

    `stops`: gives the request up, as an ELM327 does. `deaf`: loses them. `queues`: keeps them for later.
    `at_once`: carries them out beside it.
    """

    busy: str
    echo: str = "exact"  # `plain` leaves out spaces, `early` is sent before what is still to be said, or `none`
    loss: float = 0.0  # of each byte on its way to us
    name: str = "ELM327 v1.5"


class LateElm(LoopEnd, ElmBrain):
    """As long as it `is_troubled`, some requests take up to 12 s, and the link holds bytes back for up to 5 s."""

    def __init__(self, habits: Habits, chance: random.Random) -> None:
        LoopEnd.__init__(self)
        ElmBrain.__init__(self, {0x7E8: ClockEcu(engine().pids)})
        self.is_troubled = False
        if habits.name == "?":
            self.unknown = {"I"}
        else:
            self.version = habits.name
        self._habits = habits
        self._chance = chance
        self._typed = b""
        self._queue: list[bytes] = []
        self._running: list[asyncio.TimerHandle] = []
        self._deaf_until_s = 0.0
        self._held_s = {"in": 0.0, "out": 0.0}

    def heard(self, data: bytes) -> None:
        """See `LoopEnd`."""
        self._on_link("in", data)

    def _on_link(self, way: str, data: bytes) -> None:
        """In order, in pieces."""
        loop = asyncio.get_running_loop()
        while data:
            size = self._chance.randint(1, len(data)) if self._chance.random() < 0.5 else len(data)
            piece, data = data[:size], data[size:]
            is_held = self.is_troubled and self._chance.random() < 0.01
            at_s = loop.time() + (self._chance.uniform(0, 5) if is_held else self._chance.uniform(0.001, 0.01))
            at_s = self._held_s[way] = max(at_s, self._held_s[way] + 1e-6)
            loop.call_at(at_s, self._take if way == "in" else self.send, piece)

    def _take(self, data: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        for byte in data:
            if self._running and self._habits.busy == "stops":
                self._cancel()
                self._deaf_until_s = now_s + _STOPPING_S
                self._say(b"STOPPED\r\r>")
                continue
            if now_s < self._deaf_until_s or (self._running and self._habits.busy == "deaf"):
                continue
            if byte != 0x0D:
                self._typed += bytes([byte])
                continue
            if self._habits.echo == "early":
                self._say(self._typed + b"\r")
            self._queue.append(self._typed)
            self._typed = b""
            self._begin()

    def _begin(self) -> None:
        while self._queue and (not self._running or self._habits.busy == "at_once"):
            line = self._queue.pop(0)
            command = line.decode("ascii", "replace").replace(" ", "").upper()
            self.received.append(command)
            echo = {"exact": line + b"\r", "plain": command.encode() + b"\r"}.get(self._habits.echo, b"")
            if command == "ATZ":
                self._cancel()
            is_known = command.startswith("AT") or re.fullmatch("[0-9A-F]{2,}", command)
            text = self.reply(command, echo) if is_known else echo + b"?\r\r>"
            is_slow = self.is_troubled and self._chance.random() < (0.02 if command.startswith("AT") else 0.15)
            takes_s = self._chance.uniform(0, 12) if is_slow else self._chance.uniform(0.005, 0.1)
            handle = asyncio.get_running_loop().call_later(takes_s, self._finish, text)
            self._running.append(handle)

    def _finish(self, text: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        self._running = [handle for handle in self._running if not handle.cancelled() and handle.when() > now_s]
        self._say(text)
        self._begin()

    def _cancel(self) -> None:
        for handle in self._running:
            handle.cancel()
        self._running.clear()

    def _say(self, text: bytes) -> None:
        if self.is_troubled and self._habits.loss:
            text = bytes(byte for byte in text if self._chance.random() >= self._habits.loss)
        self._on_link("out", text)
