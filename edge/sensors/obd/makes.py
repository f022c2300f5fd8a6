"""What a vehicle identification number says of its maker and model year (ISO 3779, ISO 3780)."""

from functools import cache
from importlib.resources import files
import tomllib

import msgspec

_YEAR_CODES = "ABCDEFGHJKLMNPRSTVWXY123456789"  # 1980 to 2009, then the same again


class _File(msgspec.Struct, forbid_unknown_fields=True):
    makes: dict[str, tuple[str, ...]]


@cache
def makes() -> dict[str, str]:
    """Makes by the characters that a VIN of theirs begins with."""
    text = files("edge.sensors.obd").joinpath("makes.toml").read_text(encoding="utf-8")
    parsed = msgspec.convert(tomllib.loads(text), _File)
    return {start: make for make, starts in parsed.makes.items() for start in starts}


def make_of(vin: str) -> str | None:
    """The make, or None where the table does not have it."""
    return makes().get(vin[:3]) or makes().get(vin[:2])


def model_years(vin: str) -> tuple[int, ...]:
    """The years that position 10 can mean, 30 apart; none for makers (many European ones) that put no year there."""
    at = _YEAR_CODES.find(vin[9:10])
    return () if at < 0 or not vin[9:10] else (1980 + at, 2010 + at)
