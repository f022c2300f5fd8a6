"""Vehicle information of a control unit (SAE J1979 service 09): names, software and its checksums, in-use counters."""

import zlib

from edge.simulator.readings import supported_bits
from edge.simulator.vehicle import Vehicle

SUB_FUNCTION_NOT_SUPPORTED = 0x12
_METRES_A_START = 9_000.0
_COUNTERS = {"petrol": (0x08, 9), "diesel": (0x0B, 7)}
# Monitors that the kinds have, by their place among the counters.
_COUNTED = {"petrol": (0, 2, 4, 6, 7), "diesel": (0, 1, 3, 4, 5, 6)}


class Identity:
    """Answers to service 09. The engine's unit alone tells the VIN and counts."""

    def __init__(self, vehicle: Vehicle, name: str, *, is_engine: bool) -> None:
        self._vehicle = vehicle
        self._name = name
        self._is_engine = is_engine

    def answer(self, rest: bytes) -> bytes | int:
        """The answer to PID `rest`, or the reason for none."""
        answers = self._answers()
        if rest == b"\x00":
            return bytes([0x49, 0x00]) + supported_bits(answers, 0x00)
        if len(rest) != 1 or rest[0] not in answers:
            return SUB_FUNCTION_NOT_SUPPORTED
        count, data = answers[rest[0]]
        return bytes([0x49, rest[0], count]) + data

    def _answers(self) -> dict[int, tuple[int, bytes]]:
        """By PID: how many items, and their bytes."""
        vehicle = self._vehicle
        calibration = vehicle.calibration if self._is_engine else f"TCU {vehicle.kind.vin_model}"
        answers = {
            0x04: (1, calibration.encode().ljust(16, b"\0")),
            0x06: (1, zlib.crc32(calibration.encode()).to_bytes(4, "big")),
            0x0A: (1, self._name.encode().ljust(20, b"\0")),
        }
        if self._is_engine:
            answers[0x02] = (1, vehicle.vin.encode())
            pid, pairs = _COUNTERS[vehicle.kind.fuel]
            answers[pid] = (2 + 2 * pairs, self._counters(pairs))
        return answers

    def _counters(self, pairs: int) -> bytes:
        """General counts, then pairs of "completed" and "conditions met": a trip in five is too short to count."""
        starts = min(0xFFFF, int(self._vehicle.odometer_m / _METRES_A_START))
        general = starts * 4 // 5
        counts = [general, starts]
        for place in range(pairs):
            could = general * (10 - place) // 12 if place in _COUNTED[self._vehicle.kind.fuel] else 0
            counts += [could * 9 // 10, could]
        return b"".join(count.to_bytes(2, "big") for count in counts)
