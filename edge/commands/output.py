"""How commands print: JSON for machines, tables for people."""

from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

_SIGNS = {"celsius": "°C", "percent": "%", "degrees": "°"}


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def table(*columns: str) -> Table:
    """A plain table that also reads well in a log."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in columns:
        made.add_column(column)
    return made


def console() -> Console:
    """The terminal."""
    return Console(highlight=False)


def sign(unit: str) -> str:
    """How people write a unit of the catalogue."""
    return _SIGNS.get(unit, unit)


def duration(seconds: float) -> str:
    """Two units at most: 3 d 4 h, 12 min, 0.4 s."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min {int(seconds % 60)} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def size(size_bytes: float) -> str:
    """1.4 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000 or unit == "GB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError
