"""The engine computers behind an adapter: which there are, what they support, and asking them several PIDs at once."""

from collections.abc import Collection, Mapping, Sequence

from edge.sensors.obd.answer import Bus, Message, messages, padding_ecus, positive
from edge.sensors.obd.decode import (
    DTC_SERVICES,
    DtcStatus,
    by_ecu,
    dtc_codes,
    split_pids,
    supported_pids,
    vin_text,
)
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import (
    BadAnswer,
    BusError,
    NegativeAnswer,
    NotUnderstood,
)
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.profile import Quirks
from edge.sensors.obd.schedule import owners
from sync_protocol.signals import catalogue

MAX_PIDS = 6  # SAE J1979: as many fit one CAN frame
_LAST_BASE = 0xA0
_SAME_COUNTS = 3  # frame counts in a row that must agree before one is foretold
_STRIKES = 2
_BAD_TO_FORGET = 3

# What spoils one request but not the connection to the adapter.
REQUEST_ERRORS = (BusError, NegativeAnswer, NotUnderstood, BadAnswer)


class Vehicle:
    """A vehicle that answers. Made by `find`; valid until the adapter is lost or the vehicle falls asleep."""

    def __init__(self, elm: Elm, bus: Bus, memory: Memory) -> None:
        self._elm = elm
        self._memory = memory
        self.bus = bus
        self.supported: dict[int, frozenset[int]] = {}
        self.owner: dict[int, int] = {}
        self.quirks = Quirks()
        self._sizes = dict(catalogue().pid_bytes)
        self._counts: dict[str, tuple[int, int]] = {}  # by request: frames of the answer, and how often in a row
        self._count_strikes = 0
        self._padded: set[int] = set()
        self._bad_in_a_row = 0

    @classmethod
    async def find(cls, elm: Elm, memory: Memory, *, may_search: bool) -> "Vehicle":
        """Get an answer to `0100` by the remembered protocol, or else by a search if `may_search`.

        `ObdError` when the vehicle does not answer. Only an answer makes a vehicle: an adapter's OK does not.
        """
        if not memory.protocol and not may_search:
            raise BusError("unable_to_connect", "no protocol known, and no search wanted")
        if memory.protocol:
            await elm.select(memory.protocol)
            try:
                # A cold bus may need the slow initialisation again, which the adapter announces.
                lines = await elm.request("0100", may_search=True)
                return await cls._discovered(elm, Bus(memory.protocol), memory, lines)
            except REQUEST_ERRORS:
                if not may_search:
                    raise
        await elm.select("0")
        lines = await elm.request("0100", may_search=True)
        bus = await elm.bus()
        vehicle = await cls._discovered(elm, bus, memory, lines)
        memory.protocol = bus.digit
        return vehicle

    @classmethod
    async def _discovered(cls, elm: Elm, bus: Bus, memory: Memory, lines: Sequence[str]) -> "Vehicle":
        vehicle = cls(elm, bus, memory)
        found = vehicle._parse(lines, 0x01)
        supported: dict[int, set[int]] = {}
        for base in range(0x00, _LAST_BASE + 1, 0x20):
            if base:
                if not any(base in pids for pids in supported.values()):
                    break
                try:
                    found = await vehicle._again(f"01{base:02X}")
                except (BusError, NegativeAnswer):
                    break  # announced, but not there
            for ecu, data in by_ecu(found).items():
                bitmap = split_pids(data, (base,), vehicle._sizes)[base]
                supported.setdefault(ecu, set()).update(supported_pids(base, bitmap))
        vehicle.supported = {ecu: frozenset(pids) for ecu, pids in supported.items()}
        vehicle.owner = owners(supported)
        if 0x1D in vehicle.owner and 0x13 not in vehicle.owner:
            vehicle._sizes.update(dict.fromkeys((0x06, 0x07, 0x08, 0x09), 2))  # SAE J1979: banks 3 and 4 follow
        return vehicle

    async def _again(self, request: str) -> list[Message]:
        try:
            return await self._ask(request, 0x01)
        except REQUEST_ERRORS:
            # A bitmap that is overlooked costs its signals until the next connection: worth a second question.
            return await self._ask(request, 0x01)

    @property
    def batch_size(self) -> int:
        """How many PIDs fit one request here."""
        may_batch = self.bus.is_can and self._memory.has_multi_pid and self.quirks.has_multi_pid is not False
        return MAX_PIDS if may_batch else 1

    async def learn_batching(self) -> None:
        """Find out, once for an adapter, whether it passes several PIDs in one request."""
        pids = [pid for pid in self.owner if pid in self._sizes and pid % 0x20]
        same = [pid for pid in pids if self.owner[pid] == self.owner[pids[0]]][:2] if pids else []
        if not self.bus.is_can or self._memory.has_multi_pid is not None or len(same) < 2:
            return
        try:
            self._memory.has_multi_pid = len(await self.read(same)) == len(same)
        except (BadAnswer, NotUnderstood, NegativeAnswer):
            self._memory.has_multi_pid = False
        except BusError:
            # NO DATA may be the adapter's way to refuse, or the vehicle's to fall asleep: ask for one to tell.
            await self.read(same[:1])
            self._memory.has_multi_pid = False

    async def read(self, pids: Sequence[int]) -> dict[int, bytes]:
        """Data bytes by PID; one request, answered by the owner of the first PID. May lack PIDs, never has others."""
        owner = self.owner[pids[0]]
        found = await self._ask("01" + "".join(f"{pid:02X}" for pid in pids), 0x01, is_counted=True)
        data = by_ecu(found).get(owner)
        if data is None:
            raise BusError("no_data", f"no answer of {owner:X}")
        with self._elm.doubting():
            return split_pids(data, pids, self._sizes)

    async def vin(self) -> str:
        """The vehicle identification number; `ObdError` when the vehicle does not tell it."""
        return vin_text(await self._ask("0902", 0x09), self.bus.is_can)

    async def dtcs(self, status: DtcStatus) -> dict[int, tuple[str, ...]]:
        """Trouble codes by computer. An empty tuple is that computer's word that it has none; silence is an error."""
        service = DTC_SERVICES[status]
        return dtc_codes(await self._ask(f"{service:02X}", service), self.bus.is_can)

    async def ask(self, request: str, service: int) -> list[Message]:
        """The positive answers of all computers to a request of any service; `ObdError` when there is none."""
        return await self._ask(request, service)

    async def ask_one(self, request: str, to: str) -> Message:
        """What one computer on CAN answers to a request of any service; `ObdError` when it refuses or is silent."""
        service = int(request[:2], 16)
        found = self._parse(await self._elm.request(request, to=to), service)
        if len(found) != 1:
            raise BadAnswer(f"{len(found)} computers answer {request}")
        return found[0]

    def adopt(self, asked: Collection[int], skipped: Collection[int]) -> None:
        """Ask for PIDs that no computer announced, of the engine's, and not for others that one did announce."""
        for pid in asked:
            self.owner.setdefault(pid, min(self.supported))
        for pid in skipped:
            self.owner.pop(pid, None)

    async def anew(self) -> "Vehicle":
        """The same vehicle asked again what it supports: without a profile, and nothing known of the adapter."""
        memory = Memory(protocol=self.bus.digit)
        return await self._discovered(self._elm, self.bus, memory, await self._elm.request("0100"))

    @property
    def elm(self) -> Elm:
        """The adapter it is asked through."""
        return self._elm

    @property
    def padding_ecus(self) -> frozenset[int]:
        """The computers that were seen to fill their CAN frames up."""
        return frozenset(self._padded)

    @property
    def memory(self) -> Memory:
        """What was learned of adapter and vehicle."""
        return self._memory

    async def exchange(self, request: str) -> list[Message]:
        """All answers to a request, refusals among them; `ObdError` when there is none."""
        return self._whole(await self._elm.request(request))

    @property
    def pid_sizes(self) -> Mapping[int, int]:
        """Data bytes by PID on this vehicle."""
        return self._sizes

    async def _ask(self, request: str, service: int, *, is_counted: bool = False) -> list[Message]:
        count = self._foretold(request) if is_counted else None
        if count is not None:
            try:
                found = self._parse(await self._elm.request(f"{request}{count:X}"), service)
            except REQUEST_ERRORS:
                found = await self._ask(request, service)  # if this fails too, the count was not to blame
                self._strike(request)
                return found
            self._memory.has_frame_count = True
            self._count_strikes = 0
            return found
        lines = await self._elm.request(request)
        found = self._parse(lines, service)
        if is_counted:
            frames, times = self._counts.get(request, (0, 0))
            self._counts[request] = (len(lines), times + 1 if frames == len(lines) else 1)
        return found

    def _parse(self, lines: Sequence[str], service: int) -> list[Message]:
        with self._elm.doubting():
            return positive(self._whole(lines), service)

    def _whole(self, lines: Sequence[str]) -> list[Message]:
        padded = self.supported.keys() if self.quirks.is_padded else self._padded
        try:
            found = messages(lines, self.bus, padded)
            for message in found:
                if not self.bus.is_computer(message.ecu):
                    raise BadAnswer(f"{message.ecu:X} is no address of a computer")
        except BadAnswer:
            self._bad_in_a_row += 1
            if self._bad_in_a_row >= _BAD_TO_FORGET:
                self._padded.clear()  # a computer that fills up some frames and not others
            raise
        self._bad_in_a_row = 0
        self._padded |= padding_ecus(lines, self.bus)
        return found

    def _foretold(self, request: str) -> int | None:
        """How many frames the answer will have, so that the adapter need not wait for more; None when not known."""
        frames, times = self._counts.get(request, (0, 0))
        may_foretell = False not in (self._memory.has_frame_count, self.quirks.has_frame_count)
        return frames if may_foretell and times >= _SAME_COUNTS and 1 <= frames <= 0x0F else None

    def _strike(self, request: str) -> None:
        del self._counts[request]
        self._count_strikes += 1
        if self._count_strikes >= _STRIKES:
            self._memory.has_frame_count = False
