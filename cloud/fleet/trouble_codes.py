"""What a trouble code means, in a few words."""

from functools import cache
from importlib.resources import files
import tomllib


@cache
def _texts() -> dict[str, str]:
    return tomllib.loads(files("cloud.fleet").joinpath("trouble_codes.toml").read_text(encoding="utf-8"))


def text_of(code: str) -> str | None:
    """Meaning of a generic code; None for one that makers define themselves, or that is rare."""
    return _texts().get(code.upper())
