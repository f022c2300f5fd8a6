"""A bench's table: each figure beside a reference of the same run; printed, and kept in build/bench/NAME.json."""

from collections.abc import Sequence
import json
import os
from pathlib import Path
import platform
import time
from typing import NamedTuple


class Figure(NamedTuple):
    """One measured number. `aim` is what the project wants; `note` says what it was measured against."""

    name: str
    value: float
    unit: str
    aim: str = ""
    note: str = ""


def report(name: str, figures: Sequence[Figure], facts: dict[str, object] | None = None) -> None:
    """Print the table and write it."""
    rows = [("figure", "value", "unit", "aim", "")] + [
        (f.name, _digits(f.value), f.unit, f.aim, f.note) for f in figures
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    print(f"\n{name}: {time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + "  " + row[4])
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "name": name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "cores": os.cpu_count(),
        "facts": facts or {},
        "figures": {f.name: {"value": f.value, "unit": f.unit, "aim": f.aim, "note": f.note} for f in figures},
    }
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _digits(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.1f}"
