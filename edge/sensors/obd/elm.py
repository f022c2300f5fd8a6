"""One command to an ELM327 and its answer, with a hard deadline, in step with the echo. Knows no vehicle."""

import asyncio
from contextlib import suppress
import re

from edge.sensors.obd.answer import Bus, data_lines
from edge.sensors.obd.errors import AdapterReset, AdapterSilent, BadAnswer, BusError, NotUnderstood, ObdError
from edge.sensors.obd.port import Port

_PROMPT = b">"
_NUDGE = b" "  # interrupts a command that runs, and is ignored in one that is being typed
_NUDGE_S = 0.4
_ANNOUNCED = ("SEARCHING", "BUS INIT", "BUSINIT")
_BANNERS = ("ELM327", "LV RESET", "STN1", "STN2")
_VOLTS = re.compile(r"(\d{1,2}\.\d{1,2})V?")
_LEAST_V = 6.0  # below it no adapter runs: a digit was lost on the line
_JUMP_V = 1.0  # a step as wide as a lost digit makes is believed when the next reading agrees
_TIMEOUT_MS = 200  # what an ELM327 begins with (ATST32)
_EVERYONE = {3: "7DF", 8: "DB33F1"}  # by digits of an address: the one that all computers listen to (ISO 15765-4)
_PAUSE_S = 0.05  # for adapters that lose what comes too soon after their prompt

# Command, and whether an adapter that does not know it can be used. ATM0: no EEPROM write at each protocol change.
_SETTINGS = (("ATE1", True), ("ATM0", True), ("ATL0", True), ("ATS0", True), ("ATAT1", True), ("ATH1", False))


class Elm:
    """An adapter that has been set up: echo on, headers on. One exchange at a time, whoever asks."""

    def __init__(self, port: Port, deadline_s: float, search_deadline_s: float) -> None:
        self._port = port
        self._deadline_s = deadline_s
        self._search_deadline_s = search_deadline_s
        self._lock = asyncio.Lock()
        self._has_echo = True
        self._is_out_of_step = False
        self._pause_s = 0.0
        self._last_v = 0.0
        self._is_tuned = False
        self._addressed: str | None = None
        self.took_s = 0.0  # the last exchange, without the wait for its turn
        self.identity = ""
        self.has_voltage = True
        self.home: str | None = None  # the computer that is asked when none is named; None: all of them

    @classmethod
    async def start(cls, port: Port, deadline_s: float, search_deadline_s: float) -> "Elm":
        """Reset the adapter behind `port`, learn who it is, set it up. `ObdError` when none answers."""
        elm = cls(port, deadline_s, search_deadline_s)
        try:
            await elm._set_up()
        except (BadAnswer, NotUnderstood):
            elm._pause_s = _PAUSE_S
            await elm._set_up()
        return elm

    async def ask(self, command: str, *, may_search: bool = False, to: str | None = None) -> list[str]:
        """The lines of the answer to `command`, without echo and prompt. `to` names one computer on CAN to ask.

        Ends within the deadline. Only with `may_search`, and only after the adapter has announced a protocol search
        or a slow bus initialisation, the search deadline holds instead.
        """
        async with self._lock:
            if not command.startswith("AT"):
                await self._address(to or self.home)
            begun_s = asyncio.get_running_loop().time()
            try:
                return await self._exchange(command, may_search=may_search)
            finally:
                self.took_s = asyncio.get_running_loop().time() - begun_s

    async def request(self, command: str, *, may_search: bool = False, to: str | None = None) -> list[str]:
        """As `ask`, for a question to the vehicle: the lines that carry data, or the error that the text stands for."""
        return data_lines(await self.ask(command, may_search=may_search, to=to))

    async def tune(self, adaptive: int | None, timeout_ms: int | None) -> None:
        """How long answers are waited for: adaptive timing (ATAT, 1 unless given) and its upper limit (ATST)."""
        await self._setting(f"ATAT{1 if adaptive is None else adaptive}", is_optional=True)
        if timeout_ms is not None or self._is_tuned:
            await self._setting(f"ATST{(timeout_ms or _TIMEOUT_MS) // 4:02X}", is_optional=True)
        self._is_tuned = timeout_ms is not None

    async def _address(self, to: str | None) -> None:
        """Ask one computer from now on, or all of them: only where that changes, since it costs an exchange."""
        if to == self._addressed:
            return
        before = self._addressed or to or ""
        self._addressed = "?" * len(before)  # unknown until the adapter has agreed
        header = to[-6:] if to else _EVERYONE[len(before)]
        if (said := await self._exchange(f"ATSH{header}"))[-1:] != ["OK"]:
            raise NotUnderstood(f"ATSH{header}: {' '.join(said)[:40]!r}")
        self._addressed = to

    async def _exchange(self, command: str, *, may_search: bool = False) -> list[str]:
        was_out_of_step, self._is_out_of_step = self._is_out_of_step, True
        until = asyncio.get_running_loop().time() + self._deadline_s
        if was_out_of_step:
            with suppress(AdapterSilent):  # an idle adapter does not answer a nudge; the echo will tell
                await self._nudge()
        else:
            until -= _NUDGE_S  # kept for getting back into step
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        self._port.discard()
        await self._port.write(command.encode("ascii") + b"\r", until)
        try:
            text = await self._port.read_until(_PROMPT, until)
        except AdapterSilent:
            text = await self._late_answer(until, may_search=may_search, may_nudge=not was_out_of_step)
        self._is_out_of_step = False
        return self._without_echo(command, text)

    async def voltage_v(self) -> float | None:
        """Supply voltage at the connector, or None where the adapter cannot tell. Sends nothing to the vehicle."""
        if not self.has_voltage:
            return None
        battery_v = await self._read_voltage_v()
        if battery_v is not None and abs(battery_v - self._last_v) >= _JUMP_V:
            # Nothing guards these digits on the line: one that is lost makes 2.6 V or 8.3 V of 12.6 V or 28.3 V.
            first_v, battery_v = battery_v, await self._read_voltage_v()
            if battery_v is None or abs(battery_v - first_v) >= _JUMP_V:
                raise BadAnswer(f"voltage: {first_v} V, then {battery_v} V")
        self._last_v = battery_v or 0.0
        return battery_v

    async def _read_voltage_v(self) -> float | None:
        lines = await self.ask("ATRV")
        match = _VOLTS.fullmatch(lines[-1].replace(" ", "").upper()) if lines else None
        if match is None and lines == ["?"]:
            self.has_voltage = False
            return None
        if match is None or float(match[1]) < _LEAST_V:
            raise BadAnswer(f"voltage: {' '.join(lines)[:40]!r}")
        return float(match[1])

    async def select(self, digit: str) -> None:
        """Use the protocol of this digit; `0` searches at the next request."""
        await self._setting(f"ATSP{digit}", is_optional=False)

    async def bus(self) -> Bus:
        """The protocol in use."""
        lines = await self.ask("ATDPN")
        digit = lines[-1].upper().removeprefix("A") if lines else ""
        if not re.fullmatch(r"[1-9]", digit):
            raise BadAnswer(f"protocol {' '.join(lines)[:20]!r} is not one for OBD-II")
        return Bus(digit)

    async def let_sleep(self) -> None:
        """End the protocol: on K lines the adapter would go on sending wake-up messages by itself."""
        await self.ask("ATPC")

    async def _late_answer(self, until: float, *, may_search: bool, may_nudge: bool) -> bytes:
        begun = self._port.unread.decode("ascii", "replace").upper()
        if may_search and any(word in begun for word in _ANNOUNCED):
            return await self._port.read_until(_PROMPT, until + self._search_deadline_s - self._deadline_s)
        if not may_nudge:
            raise AdapterSilent("no answer again")
        await self._nudge()
        # The nudge came back with a prompt, so the adapter lives; what it printed before is nobody's answer now.
        self._is_out_of_step = False
        raise AdapterSilent("no answer within the deadline")

    async def _nudge(self) -> None:
        until = asyncio.get_running_loop().time() + _NUDGE_S
        await self._port.write(_NUDGE, until)
        await self._port.read_until(_PROMPT, until)

    def _without_echo(self, command: str, text: bytes) -> list[str]:
        try:
            plain = text.replace(b"\x00", b"").decode("ascii")
        except UnicodeDecodeError as err:
            raise BadAnswer("bytes that are not text") from err
        lines = [line.strip() for line in re.split(r"[\r\n]+", plain)]
        lines = [line for line in lines if line]
        if command not in ("ATZ", "ATI") and any(line.upper().startswith(_BANNERS) for line in lines):
            raise AdapterReset("the adapter started anew: its settings are lost")
        if not self._has_echo:
            return lines
        if not lines or lines[0].replace(" ", "").upper() != command:
            raise BadAnswer(f"out of step: the echo of {command} is missing")
        return lines[1:]

    async def _set_up(self) -> None:
        self._has_echo = False  # unknown until ATE1 has been answered
        banner = await self._reset()
        for command, is_optional in _SETTINGS:
            await self._setting(command, is_optional)
            if command == "ATE1":
                self._has_echo = [line.upper() for line in await self.ask("ATI")][:1] == ["ATI"]
        self.identity = " ".join((await self.ask("ATI"))[:1]) or banner

    async def _reset(self) -> str:
        last: ObdError = AdapterSilent("no answer to a reset")
        for _ in range(2):  # the first one may end a half-typed command, and be answered with `?`
            try:
                lines = [line for line in await self.ask("ATZ") if line.upper() not in ("ATZ", "?")]
            except (AdapterSilent, BadAnswer) as err:
                last = err
                continue
            if lines and not any(line.upper().startswith("AT") for line in lines):
                return lines[-1]
        raise last

    async def _setting(self, command: str, is_optional: bool) -> None:
        said = [line.upper() for line in await self.ask(command)][-1:]
        if said == ["OK"]:
            return
        if said == ["?"]:
            if is_optional:
                return
            raise NotUnderstood(f"{command}: ?")
        raise BadAnswer(f"{command}: {' '.join(said)[:40]!r}")


def is_vehicle_away(error: ObdError) -> bool:
    """Whether the adapter is well and the vehicle does not answer, as with the ignition off."""
    return isinstance(error, BusError) and error.kind in (
        "no_data",
        "can_error",
        "bus_init",
        "unable_to_connect",
        "bus_error",
        "feedback_error",
    )
