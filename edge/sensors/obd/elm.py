"""An ELM327: set up, asked one thing at a time by whoever asks, its own facts. Knows no vehicle."""

import asyncio
import re

from edge.sensors.obd.answer import Bus, data_lines
from edge.sensors.obd.errors import AdapterReset, AdapterSilent, BadAnswer, BusError, NotUnderstood, ObdError
from edge.sensors.obd.exchange import Exchanges
from edge.sensors.obd.port import Port

_VOLTS = re.compile(r"(\d{1,2}\.\d{1,2})V?")
ABOVE_12_V = 16.5  # more than an alternator of 12 V makes, less than a battery of 24 V has
_LEAST_V = 6.0  # below it no adapter runs: a digit was lost on the line
_JUMP_V = 1.0  # of 12 V; a step as wide as a lost digit makes is believed when the next reading agrees
_TIMEOUT_MS = 200  # what an ELM327 begins with (ATST32)
_EVERYONE = {3: "7DF", 8: "DB33F1"}  # by digits of an address: the one that all computers listen to (ISO 15765-4)
_PAUSE_S = 0.05  # for adapters that lose what comes too soon after their prompt
_SETTLE_S = 0.4  # before a second set-up: what the first one asked for comes in and is dropped

# Command, and whether an adapter that does not know it can be used. ATM0: no EEPROM write at each protocol change.
_SETTINGS = (("ATM0", True), ("ATL0", True), ("ATS0", True), ("ATAT1", True), ("ATH1", False))


class Elm:
    """An adapter that has been set up: echo on, headers on. One exchange at a time, whoever asks."""

    def __init__(self, port: Port, deadline_s: float, search_deadline_s: float) -> None:
        self._exchanges = Exchanges(port, deadline_s, search_deadline_s)
        self._lock = asyncio.Lock()
        self.doubting = self._exchanges.doubting
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
        except (BadAnswer, NotUnderstood, AdapterReset) as err:
            await asyncio.sleep(_SETTLE_S)
            if not isinstance(err, AdapterReset):  # which is a late answer to a reset of ours
                elm._exchanges.pause_s = _PAUSE_S
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
                return await self._exchanges.run(command, may_search=may_search)
            finally:
                self.took_s = asyncio.get_running_loop().time() - begun_s

    async def request(self, command: str, *, may_search: bool = False, to: str | None = None) -> list[str]:
        """As `ask`, for a question to the vehicle: the lines that carry data, or the error that the text stands for."""
        lines = await self.ask(command, may_search=may_search, to=to)
        with self.doubting():
            return data_lines(lines)

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
        self._judge_setting(f"ATSH{header}", await self._exchanges.run(f"ATSH{header}"))
        self._addressed = to

    async def voltage_v(self) -> float | None:
        """Supply voltage at the connector, or None where the adapter cannot tell. Sends nothing to the vehicle."""
        if not self.has_voltage:
            return None
        battery_v = await self._read_voltage_v()
        if battery_v is not None and _has_jumped(self._last_v, battery_v):
            # Nothing guards these digits on the line: one that is lost makes 2.6 V or 8.3 V of 12.6 V or 28.3 V.
            first_v, battery_v = battery_v, await self._read_voltage_v()
            if battery_v is None or _has_jumped(first_v, battery_v):
                raise BadAnswer(f"voltage: {first_v} V, then {battery_v} V")
        self._last_v = battery_v or 0.0
        return battery_v

    async def _read_voltage_v(self) -> float | None:
        lines = await self.ask("ATRV")
        match = _VOLTS.fullmatch(lines[-1].replace(" ", "").upper()) if lines else None
        if match is None and lines == ["?"]:
            self.has_voltage = False
            return None
        with self.doubting():
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
        with self.doubting():
            if not re.fullmatch(r"[1-9]", digit):
                raise BadAnswer(f"protocol {' '.join(lines)[:20]!r} is not one for OBD-II")
        return Bus(digit)

    async def let_sleep(self) -> None:
        """End the protocol: on K lines the adapter would go on sending wake-up messages by itself."""
        await self.ask("ATPC")

    async def _set_up(self) -> None:
        self._exchanges.know(has_echo=False, name=None)  # unknown until ATE1 has been answered
        banner = await self._reset()
        await self._setting("ATE1", is_optional=True)
        name = await self.ask("ATI")
        has_echo = [line.upper() for line in name[:1]] == ["ATI"]
        name = name[1:] if has_echo else name
        self._exchanges.know(has_echo=has_echo, name=None)
        for command, is_optional in _SETTINGS:
            await self._setting(command, is_optional)
        if (said := await self.ask("ATI")) != name or said == ["OK"]:
            raise BadAnswer(f"ATI: {' '.join(name)[:40]!r}, then {' '.join(said)[:40]!r}")
        self.identity = " ".join(name[:1]) or banner
        self._exchanges.know(has_echo=has_echo, name=name[0] if name else None)

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
        try:
            self._judge_setting(command, await self.ask(command))
        except NotUnderstood:
            if not is_optional:
                raise

    def _judge_setting(self, command: str, lines: list[str]) -> None:
        said = [line.upper() for line in lines][-1:]
        if said == ["?"]:
            raise NotUnderstood(f"{command}: ?")
        if said != ["OK"]:
            with self.doubting():
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


def _has_jumped(before_v: float, battery_v: float) -> bool:
    """A starter pulls 24 V down twice as far."""
    return abs(battery_v - before_v) >= _JUMP_V * (1 if max(before_v, battery_v) < ABOVE_12_V else 2)
