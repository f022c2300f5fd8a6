"""Loads a TOML file with an environment overlay into a msgspec Struct. Used by both command lines."""

from collections.abc import Mapping
from pathlib import Path
import tomllib
from typing import Any, TypeVar

import msgspec

from sync_protocol.errors import ConfigError

T = TypeVar("T")


def load_config(kind: type[T], path: Path | None, environ: Mapping[str, str]) -> T:
    """Read `path` (None: defaults only), overlay `MILEPOST__SECTION__KEY=value`, convert to `kind`.

    Values of the environment are TOML where they parse as TOML, text otherwise. `ConfigError` names the path of a bad
    or unknown key (`$.gps.period_s`) and what was expected.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as err:
            raise ConfigError(f"{path}: {err.strerror}") from err
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
            raise ConfigError(f"{path}: not TOML: {err}") from err
    for name, text in sorted(environ.items()):
        if name.startswith("MILEPOST__"):
            _set(tree, [part.lower() for part in name.split("__")[1:]], _toml_value(text), name)
    try:
        return msgspec.convert(tree, kind, dec_hook=_path)
    except msgspec.ValidationError as err:
        raise ConfigError(f"{path or 'configuration'}: {err}") from err


def _path(kind: type[Any], value: Any) -> Any:
    """A `Path` is written as text."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"Expected a path as text, got {value!r}")  # msgspec adds where


def _set(tree: dict[str, Any], keys: list[str], value: Any, name: str) -> None:
    for key in keys[:-1]:
        branch = tree.setdefault(key, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"{name}: $.{key} is a value, expected a table")
        tree = branch
    tree[keys[-1]] = value


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
