"""The catalogue's scalings against python-OBD's (an oracle, installed for tests only)."""

from typing import Any
import warnings

import pytest

from edge.sensors.obd.decode import raw_values
from sync_protocol.signals import Signal, catalogue

# By python-OBD's unit; of several signals of one PID it gives the one in this unit.
_UNITS = {
    "percent": "percent",
    "degree_Celsius": "celsius",
    "kilopascal": "kPa",
    "volt": "V",
    "ratio": "ratio",
    "revolutions_per_minute": "rpm",
    "kilometer_per_hour": "km/h",
    "degree": "degrees",
    "second": "s",
    "gps": "g/s",
    "kilometer": "km",
    "pascal": "Pa",
    "minute": "min",
    "milliampere": "mA",
    "lph": "l/h",
    "count": "",
}
# Where the two differ, and SAE J1979 agrees with us.
_OTHER_THERE = {
    "32": "one signed number of 16 bits; python-OBD 0.7.3 takes the sign of each byte by itself",
}


def _signal(pid: int, unit: str) -> Signal | None:
    wanted = [s for s in catalogue().by_pid[pid] if s.unit == _UNITS.get(unit, unit) and s.needs_bit is None]
    return wanted[0] if wanted else None


def test_values_are_those_of_python_obd() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        obd = pytest.importorskip("obd", reason="python-OBD is not installed (extra obd)")
        from obd.protocols.protocol import Frame, Message

    compared: list[str] = []
    left_out: dict[str, str] = {}
    different: dict[str, str] = {}
    commands = obd.commands.modes[1]
    for pid in sorted(catalogue().by_pid):
        name = f"{pid:02X}"
        if pid >= len(commands):
            left_out[name] = "unknown to python-OBD"
            continue
        for seed in range(0, 256, 5):
            data = bytes((seed * (7 * n + 1) + 31 * n) % 256 for n in range(catalogue().pid_bytes[pid]))
            message = Message([Frame("")])
            message.data = bytearray(b"\x41" + bytes([pid]) + data)
            answer: Any = commands[pid].decode([message])
            if not hasattr(answer, "magnitude"):
                left_out[name] = f"not a number there: {type(answer).__name__}"
                break
            signal = _signal(pid, str(answer.units))
            if signal is None:
                left_out[name] = f"in {answer.units} there"
                break
            ours = signal.value(raw_values({pid: data}, [signal])[signal.id])
            if ours != pytest.approx(float(answer.magnitude), rel=6e-4, abs=1e-3):
                different[name] = f"{signal.name} of {data.hex()}: {ours}, there {answer}"
        else:
            compared.append(name)
    compared = [name for name in compared if name not in different]
    print(f"compared: {compared}\nleft out: {left_out}\ndifferent: {different}")
    assert different.keys() == _OTHER_THERE.keys(), different
    assert len(compared) > 40
