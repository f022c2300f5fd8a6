"""What a trouble code means, in a few words: from the shipped table, or else what its digits say (SAE J2012)."""

from functools import cache
from importlib.resources import files
import re
import tomllib

_CODE = re.compile(r"[PCBU][0-3][0-9A-F]{3}")
_SYSTEMS = {"P": "powertrain", "C": "chassis", "B": "body", "U": "bus between computers"}
_AREAS = {
    "0": "fuel, air and emission control",
    "1": "fuel and air metering",
    "2": "fuel and air metering, injectors",
    "3": "ignition or misfire",
    "4": "emission control",
    "5": "speed, idle control and auxiliary inputs",
    "6": "engine computer and its outputs",
    "7": "transmission",
    "8": "transmission",
    "9": "transmission",
    "A": "hybrid or electric drive",
    "B": "hybrid or electric drive",
    "C": "hybrid or electric drive",
}


@cache
def _texts() -> dict[str, str]:
    return tomllib.loads(files("sync_protocol").joinpath("trouble_codes.toml").read_text(encoding="utf-8"))


def is_maker_specific(code: str) -> bool:
    """Whether the maker of the vehicle defines this code, and no public table can know it."""
    code = code.upper()
    if code[:1] == "P":
        return code[1:2] == "1" or (code[1:2] == "3" and code[2:3] in set("0123"))
    return code[1:2] in ("1", "2")


def text_of(code: str) -> str:
    """Meaning of a code; of one that is not in the table, the part of the vehicle that its digits name."""
    code = code.upper()
    known = _texts().get(code)
    if known is not None:
        return known
    if not _CODE.fullmatch(code):
        return "Not a trouble code of SAE J2012"
    # The third character names the area by standard in P0 and P2 alone; makers keep to it in P1 as a habit.
    area = _AREAS.get(code[2]) if code[:2] in ("P0", "P2") else None
    where = f"{_SYSTEMS[code[0]]}: {area}" if area else _SYSTEMS[code[0]]
    return f"Defined by the maker ({where})" if is_maker_specific(code) else f"Standard code without a text ({where})"
