"""One command to an adapter and the answer that is its own, in time; getting back into step when one was late.

An adapter answers in the order it was asked. So wherever an answer may still be under way, the adapter is asked for its
name before anything else, and all that comes before the name is dropped. Spaces, which an adapter ignores and most echo
as they were typed, tell one time of asking from another.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
import re

from edge.sensors.obd.errors import AdapterLost, AdapterReset, AdapterSilent, BadAnswer
from edge.sensors.obd.port import Port

_PROMPT = b">"
_NUDGE = b" "  # interrupts a command that runs, and is ignored in one that is being typed
_NAME = "ATI"
_ATTEMPTS = 2
_NUDGE_SHARE, _NAME_SHARE = 0.15, 0.35  # of the deadline, in each attempt to get into step
_MOST_TEXTS = 200  # prompts in a row that are not the one waited for
_SPACES = 3  # how many ways to fill each of two gaps in a command
_ANNOUNCED = ("SEARCHING", "BUS INIT", "BUSINIT")
_BANNERS = ("ELM327", "LV RESET", "STN1", "STN2")


class Exchanges:
    """What is said on an open port. Commands are ASCII in capitals without spaces; never two at a time."""

    def __init__(self, port: Port, deadline_s: float, search_deadline_s: float) -> None:
        self._port = port
        self._deadline_s = deadline_s
        self._search_deadline_s = search_deadline_s
        self._has_echo = False
        self._name: str | None = None
        self._is_in_step = True
        self._is_prompted = True
        self._turn = 0
        self._is_echo_exact = False  # it echoes spaces, too
        self._names_due = 0
        self._has_heard = False  # anything while getting into step
        self.pause_s = 0.0  # before each command

    def know(self, *, has_echo: bool, name: str | None) -> None:
        """How the adapter is recognised: by its echo, and by what it answers to ATI."""
        self._has_echo = has_echo
        self._name = None if name is None else name.upper()

    async def run(self, command: str, *, may_search: bool = False) -> list[str]:
        """The lines of the answer, without echo and prompt. `ObdError` by the deadline otherwise.

        Only with `may_search`, and only after the adapter has announced a protocol search or a slow bus
        initialisation, the search deadline holds instead.
        """
        until = asyncio.get_running_loop().time() + self._deadline_s
        if not self._is_in_step:
            await self._get_into_step(until)
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        self._is_in_step = False  # also when cancelled: until the answer is here, it may come at any time
        self._port.discard()
        typed = self._typed(command)
        await self._write(typed, until)
        try:
            text = await self._read(until)
        except AdapterSilent:
            begun = self._port.unread.decode("ascii", "replace").upper()
            if not may_search or not any(word in begun for word in _ANNOUNCED):
                raise
            text = await self._read(until + self._search_deadline_s - self._deadline_s)
        answer = self._without_echo(command, typed, text)
        self._is_in_step = True
        return answer

    @contextmanager
    def doubting(self) -> Iterator[None]:
        """Where no echo tells, a `BadAnswer` inside may have been the answer to something else."""
        try:
            yield
        except BadAnswer:
            self._is_in_step &= self._has_echo
            raise

    async def _get_into_step(self, until: float) -> None:
        if self._name is None:
            with suppress(AdapterSilent):
                await self._nudge(until)
            return
        if not self._has_echo and not _is_clear(self._name):
            raise AdapterLost("out of step with an adapter that has neither echo nor name")
        self._has_heard = False
        for attempt in range(_ATTEMPTS):
            if attempt or not self._is_prompted:
                with suppress(AdapterSilent):  # an idle adapter does not answer a nudge
                    await self._nudge(until)
            self._turn = self._turn % (_SPACES * _SPACES - 1) + 1
            self._names_due += 1
            typed = self._typed(_NAME)
            await self._write(typed, until)
            is_last = attempt == _ATTEMPTS - 1
            with suppress(AdapterSilent):
                if await self._has_read_name(typed, until if is_last else self._in_share(_NAME_SHARE, until)):
                    self._names_due = 0
                    return
        if not self._has_echo:
            raise AdapterLost("out of step: nothing but its name told what answers what")
        if self._has_heard:
            raise BadAnswer("out of step: the adapter says other things than its name")
        raise AdapterSilent("out of step: the adapter does not tell its name")

    async def _has_read_name(self, typed: str, until: float) -> bool:
        """Read up to the name that was asked for as `typed`. Where spaces are not echoed, as many names must come as
        were asked for, since each could be the one before."""
        is_echoed = is_exact = False
        for _ in range(_MOST_TEXTS):
            text = (await self._read(until)).decode("ascii", "replace")
            self._has_heard = True
            lines = _lines(text.upper())
            is_exact |= any(line.endswith(typed) for line in lines)  # after what broke off, too
            is_echoed |= any(line.replace(" ", "").endswith(_NAME) for line in lines)
            if not is_echoed and self._has_echo:
                _refuse_banner(lines)
            if not (names := lines.count(self._name or "")):
                continue
            self._names_due -= names
            if is_exact or (self._names_due <= 0 and _is_clear(self._name or "")):
                self._is_echo_exact = is_exact
                return True
        return False

    async def _nudge(self, until: float) -> None:
        until = self._in_share(_NUDGE_SHARE, until)
        await self._port.write(_NUDGE, until)
        await self._read(until)

    async def _write(self, typed: str, until: float) -> None:
        self._is_prompted = False
        await self._port.write(typed.encode("ascii") + b"\r", until)

    async def _read(self, until: float) -> bytes:
        text = (await self._port.read_until(_PROMPT, until)).replace(b"\x00", b"")
        self._is_prompted = True
        return text

    def _in_share(self, share: float, until: float) -> float:
        return min(until, asyncio.get_running_loop().time() + share * self._deadline_s)

    def _typed(self, command: str) -> str:
        """The command with the spaces of this turn; none as long as nothing was ever late."""
        first, second = divmod(self._turn, _SPACES)
        return (command[:1] + " " * first + command[1:2] + " " * second + command[2:]).rstrip()

    def _without_echo(self, command: str, typed: str, text: bytes) -> list[str]:
        try:
            lines = _lines(text.decode("ascii"))
        except UnicodeDecodeError as err:
            raise BadAnswer("bytes that are not text") from err
        if command not in ("ATZ", _NAME):
            _refuse_banner(line.upper() for line in lines)
        if not self._has_echo:
            return lines
        echo = lines[0].upper() if lines else ""
        is_own = echo == typed if self._turn and self._is_echo_exact else echo.replace(" ", "") == command
        if not is_own:
            raise BadAnswer(f"out of step: the echo of {command} is missing")
        return lines[1:]


def _lines(text: str) -> list[str]:
    return [stripped for line in re.split(r"[\r\n]+", text) if (stripped := line.strip())]


def _is_clear(name: str) -> bool:
    """Whether nothing but a name can look so: no data, no OK, no `?`."""
    return name != "OK" and re.search("[G-Z]", name) is not None


def _refuse_banner(lines: Iterator[str] | list[str]) -> None:
    if any(line.startswith(_BANNERS) for line in lines):
        raise AdapterReset("the adapter started anew: its settings are lost")
