"""What python-OBD's decoded values are in the catalogue's raw integers, and which of them are not taken.

The reasons are in docs/obd-oracle.md, where a test holds them against both decoders.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sync_protocol.signals import Signal, catalogue

LEFT_OUT: Mapping[int, str] = {
    0x13: "bits from the other end",
    0x1E: "bits from the other end",
    0x24: "rounded resolution",
    0x25: "rounded resolution",
    0x32: "sign of each byte by itself",
    0x41: "monitors by name, not as bits",
    0x44: "rounded resolution",
}
UNITS = {  # by python-OBD's name of each
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
# Texts and flags instead of numbers. The first argument is python-OBD's module of texts.
_BY_HAND: Mapping[int, Callable[[Any, Any], Mapping[str, int]]] = {
    0x01: lambda _, value: {"is_mil_on": int(value.MIL), "dtc_count": value.DTC_count},
    0x03: lambda codes, value: {
        f"fuel_system_{n}": 1 << codes.FUEL_STATUS.index(text) for n, text in enumerate(value, 1) if text
    },
    0x12: lambda codes, value: {"secondary_air": 1 << codes.AIR_STATUS.index(value)},
    0x1C: lambda codes, value: {} if value == "Reserved" else {"obd_standard": codes.OBD_COMPLIANCE.index(value)},
    0x51: lambda codes, value: {"fuel_type": codes.FUEL_TYPES.index(value)},
}
_HAND_SIGNALS: Mapping[int, tuple[str, ...]] = {
    0x01: ("is_mil_on", "dtc_count"),
    0x03: ("fuel_system_1", "fuel_system_2"),
    0x12: ("secondary_air",),
    0x1C: ("obd_standard",),
    0x51: ("fuel_type",),
}


def given_signals(pid: int, example: Any) -> list[Signal]:
    """The signals of a PID that python-OBD gives a value for; `example` is one of its values."""
    if pid in LEFT_OUT or pid not in catalogue().by_pid:
        return []
    if pid in _HAND_SIGNALS:
        return [catalogue().by_name[name] for name in _HAND_SIGNALS[pid]]
    signal = _signal_of(pid, example)
    return [] if signal is None else [signal]


def raw_values_of(pid: int, value: Any, codes: Any) -> dict[int, int]:
    """Raw integers by signal id; nothing where the computer has no value. ValueError for a text that is not known."""
    if value is None:
        return {}
    if pid in _BY_HAND:
        return {catalogue().by_name[name].id: raw for name, raw in _BY_HAND[pid](codes, value).items()}
    signal = _signal_of(pid, value)
    return {} if signal is None else {signal.id: signal.raw(float(value.magnitude))}


def _signal_of(pid: int, value: Any) -> Signal | None:
    """Of several signals of one PID it gives the one in this unit."""
    if not hasattr(value, "magnitude"):
        return None
    unit = UNITS.get(str(value.units), str(value.units))
    return next((signal for signal in catalogue().by_pid[pid] if signal.unit == unit), None)
