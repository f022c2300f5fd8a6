"""The signal catalogue: loads `signals.toml`, looks signals up, converts between raw integers and values."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from importlib.resources import files
import math
import tomllib
from types import MappingProxyType
from typing import Literal

import msgspec

SignalType = Literal["boolean", "uint8", "uint16", "uint32", "int16", "float", "double"]


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One measured quantity. `value = raw * scale + offset` in `unit`; the row in `signals.toml` says the rest."""

    id: int
    name: str
    type: SignalType
    unit: str
    scale: str
    offset: float
    min: float
    max: float
    typical: int
    period_s: float
    stale_s: float
    vss: str
    text: str
    order: Literal[1, 2] = 1
    pid: int | None = None
    at: int = 0
    size: int = 1
    shift: int = 0
    bits: int | None = None
    signed: bool = False
    needs_bit: int | None = None

    @property
    def factor(self) -> Fraction:
        """The exact resolution: what one step of `raw` is worth."""
        return Fraction(self.scale)

    def value(self, raw: int) -> float:
        """The quantity in `unit` for a raw integer, correctly rounded to a double."""
        return float(raw * self.factor + Fraction(self.offset))

    def raw(self, value: float) -> int:
        """The raw integer nearest to a value in `unit`."""
        return round((Fraction(value) - Fraction(self.offset)) / self.factor)

    @property
    def decimals(self) -> int:
        """Decimal places that the resolution is worth: a byte over 255 % has one, a millivolt three."""
        return max(0, math.ceil(-math.log10(self.factor)))

    def is_in_range(self, raw: int) -> bool:
        """Whether the quantity can physically have this value."""
        return self.min <= self.value(raw) <= self.max

    def decode(self, answer: bytes) -> int | None:
        """The raw integer in a mode 01 answer's data bytes (SAE J1979), or None where the ECU says it has none.

        Raises IndexError never: callers check the length against `pid_bytes` first.
        """
        if self.needs_bit is not None and not answer[0] >> self.needs_bit & 1:
            return None
        raw = int.from_bytes(answer[self.at : self.at + self.size], "big", signed=self.signed)
        raw >>= self.shift
        return raw if self.bits is None else raw & ((1 << self.bits) - 1)


class Catalogue(msgspec.Struct, frozen=True):
    """All signals by id, by name and by PID, and the number of data bytes of each PID's answer."""

    version: int
    signals: tuple[Signal, ...]
    by_id: Mapping[int, Signal]
    by_name: Mapping[str, Signal]
    by_pid: Mapping[int, Sequence[Signal]]
    pid_bytes: Mapping[int, int]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    signal: tuple[Signal, ...]
    pid_bytes: dict[str, int]


@cache
def catalogue() -> Catalogue:
    """The catalogue shipped with this version; parsed once for each process."""
    text = files("sync_protocol").joinpath("signals.toml").read_text(encoding="utf-8")
    parsed = msgspec.convert(tomllib.loads(text), _File)
    by_pid: dict[int, list[Signal]] = {}
    for signal in parsed.signal:
        if signal.pid is not None:
            by_pid.setdefault(signal.pid, []).append(signal)
    return Catalogue(
        version=parsed.version,
        signals=parsed.signal,
        by_id=MappingProxyType({s.id: s for s in parsed.signal}),
        by_name=MappingProxyType({s.name: s for s in parsed.signal}),
        by_pid=MappingProxyType({pid: tuple(signals) for pid, signals in by_pid.items()}),
        pid_bytes=MappingProxyType({int(pid, 16): n for pid, n in parsed.pid_bytes.items()}),
    )
