"""Reads a recording (CSV, plain or gzip) as raw integers of the catalogue, by a mapping of its columns.

Without a mapping file the columns are signal names. A mapping file is TOML:

    time = "Time (UTC)"                 # or leave out, and give start and period
    [columns]
    "ENGINE_RPM ()" = "engine_rpm"
    "Speed (mph)" = { signal = "speed_kmh", scale = 1.609344 }
"""

from collections.abc import Sequence
import csv
from datetime import UTC, datetime
import gzip
from hashlib import sha256
import io
from math import isfinite
from pathlib import Path
import tomllib
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sync_protocol.errors import ConfigError, Rejected
from sync_protocol.messages import Mark
from sync_protocol.signals import Signal, catalogue

TIME_NAMES = ("ts", "time", "timestamp", "utc")


class Column(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a column's numbers go: value in the signal's unit = number * scale + offset."""

    signal: str
    scale: float = 1.0
    offset: float = 0.0


class Mapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping file. `time` names the column of instants: ISO 8601, or seconds or milliseconds since 1970."""

    time: str | None = None
    columns: dict[str, str | Column] = {}


class Recording(NamedTuple):
    """Rows in time. `times_ms` (R,) since the first row; raw values (C, R) with presence, signals by rising id.

    `start` is the UTC of the first row; `digest` names the content, so that importing twice is importing once.
    """

    start: datetime
    signals: tuple[Signal, ...]
    times_ms: NDArray[np.int64]
    raw: NDArray[np.int64]
    present: NDArray[np.bool_]
    marks: tuple[Mark, ...]
    digest: bytes
    ignored: tuple[str, ...]


def load_mapping(path: Path | None) -> Mapping:
    """The mapping file; `ConfigError` names what is wrong in it."""
    if path is None:
        return Mapping()
    try:
        mapping = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Mapping)
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}") from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as err:
        raise ConfigError(f"{path}: {err}") from err
    for title, column in mapping.columns.items():
        name = column if isinstance(column, str) else column.signal
        if name not in catalogue().by_name:
            raise ConfigError(f"{path}: $.columns.{title}: {name!r} is no signal of the catalogue")
    return mapping


def load_recording(path: Path, mapping: Mapping, start: datetime | None, period_s: float) -> Recording:
    """Read a file. `Rejected` with line and column when it is not what the mapping says."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) if row]
    except OSError as err:
        raise Rejected(f"{path}: {err.strerror or err}") from err
    except (EOFError, UnicodeDecodeError, csv.Error) as err:
        raise Rejected(f"{path}: not CSV in UTF-8: {err}") from err
    if len(rows) < 2:
        raise Rejected(f"{path}: expected a line of titles and at least one row")
    titles, body = [title.strip() for title in rows[0]], rows[1:]
    time_at = _time_column(titles, mapping)
    columns, ignored = _columns(path, titles, mapping, time_at)
    if time_at is not None:
        utc_ms = np.array([_utc_ms(path, line, row, time_at) for line, row in enumerate(body, 2)], np.int64)
    elif start is not None:
        utc_ms = _ms(start) + np.rint(np.arange(len(body)) * period_s * 1000).astype(np.int64)
    else:
        raise Rejected(f"{path}: no column of times ({', '.join(TIME_NAMES)}): give --time, or --start and --period-s")
    order = np.argsort(utc_ms, kind="stable")
    utc_ms, keep = np.unique(utc_ms[order], return_index=True)
    order = order[keep]
    numbers = _numbers(path, [body[i] for i in order], [at for at, _, _ in columns], [int(i) + 2 for i in order])
    raw, present, marks = _to_raw(numbers, [(s, c) for _, s, c in columns], utc_ms - utc_ms[0])
    digest = sha256(content + msgspec.json.encode([msgspec.to_builtins(mapping), int(utc_ms[0]), period_s])).digest()
    return Recording(
        start=datetime.fromtimestamp(int(utc_ms[0]) / 1000, UTC),
        signals=tuple(signal for _, signal, _ in columns),
        times_ms=utc_ms - utc_ms[0],
        raw=raw,
        present=present,
        marks=marks,
        digest=digest,
        ignored=ignored,
    )


def _time_column(titles: Sequence[str], mapping: Mapping) -> int | None:
    names = (mapping.time,) if mapping.time is not None else TIME_NAMES
    return next((titles.index(name) for name in names if name in titles), None)


def _columns(
    path: Path, titles: Sequence[str], mapping: Mapping, time_at: int | None
) -> tuple[list[tuple[int, Signal, Column]], tuple[str, ...]]:
    by_name = catalogue().by_name
    found: dict[int, tuple[int, Signal, Column]] = {}
    ignored: list[str] = []
    for at, title in enumerate(titles):
        target = mapping.columns.get(title, title if not mapping.columns else None)
        column = Column(target) if isinstance(target, str) else target
        signal = None if column is None else by_name.get(column.signal)
        if signal is None or column is None:
            if at != time_at and title:
                ignored.append(title)
        elif signal.id in found:
            raise Rejected(f"{path}: two columns for {signal.name}")
        else:
            found[signal.id] = (at, signal, column)
    if not found:
        raise Rejected(f"{path}: no column is a signal of the catalogue: give a mapping file with --columns")
    return [found[number] for number in sorted(found)], tuple(ignored)


def _numbers(path: Path, rows: Sequence[Sequence[str]], at: Sequence[int], lines: Sequence[int]) -> NDArray[np.float64]:
    """(C, R) as written, NaN where nothing is."""
    out = np.full((len(at), len(rows)), np.nan)
    for r, row in enumerate(rows):
        for c, column in enumerate(at):
            text = row[column].strip() if column < len(row) else ""
            if text and text not in ("NA", "null", "nan", "NaN", "-"):
                try:
                    out[c, r] = float(text)
                except ValueError:
                    raise Rejected(
                        f"{path}: line {lines[r]}, column {column + 1}: expected a number, got {text!r}"
                    ) from None
    return out


def _to_raw(
    numbers: NDArray[np.float64], columns: Sequence[tuple[Signal, Column]], times_ms: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], tuple[Mark, ...]]:
    """Raw integers; what the quantity cannot physically be becomes a mark instead of a sample."""
    raw = np.zeros(numbers.shape, np.int64)
    present = np.zeros(numbers.shape, np.bool_)
    marks: list[Mark] = []
    for c, (signal, column) in enumerate(columns):
        value = numbers[c] * column.scale + column.offset
        is_read = np.isfinite(value)
        # Rounded to the resolution first: a limit is often written with fewer digits than the value.
        steps = np.rint((np.where(is_read, value, 0.0) - signal.offset) / float(signal.factor))
        lowest, highest = signal.raw(signal.min), signal.raw(signal.max)
        is_good = is_read & (steps >= lowest) & (steps <= highest)
        raw[c] = np.where(is_good, steps, 0).astype(np.int64)
        present[c] = is_good
        bad = np.flatnonzero(is_read & ~is_good)
        runs = np.split(bad, np.flatnonzero(np.diff(bad) > 1) + 1) if len(bad) else []
        marks += [Mark(signal.id, int(times_ms[run[0]]), int(times_ms[run[-1]]), "out_of_range") for run in runs]
    return raw, present, tuple(marks)


def _utc_ms(path: Path, line: int, row: Sequence[str], at: int) -> int:
    text = row[at].strip() if at < len(row) else ""
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        # Seconds since 1970 stay below this for three thousand years.
        if isfinite(number) and number >= 0:
            return round(number if number > 1e11 else number * 1000)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Rejected(f"{path}: line {line}, column {at + 1}: expected an instant, got {text!r}") from None
    return _ms(when if when.tzinfo else when.replace(tzinfo=UTC))


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)
