"""Vehicle identification numbers with a right check digit (ISO 3779, 49 CFR 565)."""

import random

_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
_VALUES = {
    **{str(digit): digit for digit in range(10)},
    **dict(zip(_LETTERS, (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9), strict=True)),
}
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_YEAR_CODES = "ABCDEFGHJKLMNPRSTVWXY123456789"  # 1980 to 2009, then again


def check_digit(vin: str) -> str:
    """The character that belongs at position 9 of a 17-character VIN; what stands there does not matter."""
    remainder = sum(_VALUES[c] * w for c, w in zip(vin, _WEIGHTS, strict=True)) % 11
    return "X" if remainder == 10 else str(remainder)


def make_vin(maker: str, model: str, year: int, rng: random.Random) -> str:
    """A VIN of a maker (3 characters), a model (5 characters) and a model year, with a random serial number."""
    vin = f"{maker}{model}0{_YEAR_CODES[(year - 1980) % 30]}A{rng.randrange(1_000_000):06d}"
    return vin[:8] + check_digit(vin) + vin[9:]
