"""The control units of a vehicle on its diagnostic bus: SAE J1979 services asked for by bytes, answered by bytes."""

from collections.abc import Callable

from edge.simulator.identity import SUB_FUNCTION_NOT_SUPPORTED, Identity
from edge.simulator.readings import READINGS, pid_data, reading, supported_bits
from edge.simulator.vehicle import Vehicle
from sync_protocol.signals import catalogue

SERVICE_NOT_SUPPORTED = 0x11
CONDITIONS_NOT_CORRECT = 0x22
_LISTS = range(0x00, 0xE0, 0x20)
_GEARBOX_CODES = ("P07", "P08", "P09")
_GEARBOX_MONITORS = b"\x04\0\0"  # comprehensive components alone
_FREEZE_SIGNALS = ("engine_load_pct", "coolant_c", "engine_rpm", "speed_kmh", "fuel_system_1", "intake_air_c")


def dtc_bytes(code: str) -> bytes:
    """`P0301` as its two bytes."""
    return ("PCBU".index(code[0]) << 14 | int(code[1]) << 12 | int(code[2:], 16)).to_bytes(2, "big")


class Ecu:
    """One control unit. `number` 0 is the engine (7E0/7E8), 1 the gearbox (7E1/7E9), which keeps codes P07 to P09."""

    def __init__(self, vehicle: Vehicle, number: int, pids: tuple[int, ...], name: str) -> None:
        self.vehicle = vehicle
        self.number = number
        self._pids = frozenset(pids)
        self._lists = [base for base in _LISTS if base == 0 or any(pid > base for pid in pids)]
        troubles = vehicle.troubles
        self._identity = Identity(vehicle, name, is_engine=number == 0)
        self._services: dict[int, Callable[[bytes], bytes | int | None]] = {
            0x01: self._current,
            0x03: lambda _: self._codes(0x43, troubles.stored),
            0x04: self._clear,
            0x07: lambda _: self._codes(0x47, troubles.pending),
            0x09: self._identity.answer,
            0x0A: lambda _: self._codes(0x4A, troubles.permanent),
        }
        if number == 0:
            self._services[0x02] = self._freeze_frame

    def answer(self, request: bytes, *, is_functional: bool) -> bytes | None:
        """The answer, or None for silence: a unit asked together with others keeps quiet about what it has not."""
        service = self._services.get(request[0])
        if service is None:
            return None if is_functional else bytes([0x7F, request[0], SERVICE_NOT_SUPPORTED])
        result = service(request[1:])
        if isinstance(result, int):
            silent = is_functional and result == SUB_FUNCTION_NOT_SUPPORTED
            return None if silent else bytes([0x7F, request[0], result])
        return result

    def _current(self, pids: bytes) -> bytes | int:
        if not 1 <= len(pids) <= 6:
            return SUB_FUNCTION_NOT_SUPPORTED
        result = bytearray([0x41])
        for pid in pids:
            if pid in self._lists:
                result += bytes([pid]) + supported_bits(self._pids, pid)
            elif pid == 0x01:
                stored = self._own(self.vehicle.troubles.stored)
                monitors = pid_data(self.vehicle, pid)[1:] if self.number == 0 else _GEARBOX_MONITORS
                result += bytes([pid, bool(stored) << 7 | len(stored)]) + monitors
            elif pid in self._pids:
                result += bytes([pid]) + pid_data(self.vehicle, pid)
        return bytes(result) if len(result) > 1 else SUB_FUNCTION_NOT_SUPPORTED

    def _freeze_frame(self, rest: bytes) -> bytes | int:
        """Up to three pairs of PID and frame number; there is frame 0 alone."""
        pairs = [(rest[at], rest[at + 1 : at + 2]) for at in range(0, len(rest), 2)]
        if not 1 <= len(pairs) <= 3 or any(frame != b"\0" for _, frame in pairs):
            return SUB_FUNCTION_NOT_SUPPORTED
        troubles = self.vehicle.troubles
        kept = sorted({catalogue().by_name[name].pid or 0 for name in troubles.freeze} & self._pids)
        result = bytearray([0x42])
        for pid, _ in pairs:
            if pid == 0x02:
                data = dtc_bytes(troubles.freeze_code) if troubles.freeze_code else b"\0\0"
            elif pid == 0x00:
                data = supported_bits([0x02, *kept], 0x00)
            elif pid in kept:
                data = self._frozen(pid)
            else:
                continue
            result += bytes([pid, 0x00]) + data
        return bytes(result) if len(result) > 1 else SUB_FUNCTION_NOT_SUPPORTED

    def _frozen(self, pid: int) -> bytes:
        size = catalogue().pid_bytes[pid]
        content = 0
        for signal in catalogue().by_pid[pid]:
            raw = signal.raw(self.vehicle.troubles.freeze.get(signal.name, 0.0))
            content |= raw << 8 * (size - signal.at - signal.size)
        return content.to_bytes(size, "big")

    def keeps(self, code: str) -> bool:
        """Whether this unit is the one that finds the fault."""
        return not self.vehicle.kind.has_gearbox_ecu or code.startswith(_GEARBOX_CODES) == (self.number == 1)

    def _own(self, codes: list[str]) -> list[str]:
        return [code for code in codes if self.keeps(code)]

    def _codes(self, service: int, codes: list[str]) -> bytes:
        own = self._own(codes)
        return bytes([service, len(own)]) + b"".join(dtc_bytes(code) for code in own)

    def _clear(self, _: bytes) -> bytes | int:
        if self.vehicle.is_running and not self.vehicle.kind.has_mode_04_when_running:
            return CONDITIONS_NOT_CORRECT
        self.vehicle.troubles.clear()
        return b"\x44"


def control_units(vehicle: Vehicle) -> tuple[Ecu, ...]:
    """The units that a vehicle's kind has. The engine's keeps the freeze frame of the first code that it stores."""
    engine = Ecu(vehicle, 0, vehicle.kind.pids, "ECM\0-EngineControl")

    def freeze(code: str) -> None:
        if vehicle.troubles.freeze_code is None and engine.keeps(code):
            vehicle.troubles.freeze_code = code
            vehicle.troubles.freeze = {name: reading(vehicle, name) for name in _FREEZE_SIGNALS if name in READINGS}

    vehicle.on_stored = freeze
    if not vehicle.kind.has_gearbox_ecu:
        return (engine,)
    return (engine, Ecu(vehicle, 1, (0x01, 0x1C, 0x42), "TCM\0-TransmissionCtl"))
