"""What a damaged store says of itself, in words a person can act on: which file, and the way back."""

from pathlib import Path

import duckdb

from sync_protocol.errors import MilepostError, Unavailable

_DAMAGE = (
    "Corrupt database file",
    "not a valid DuckDB database file",
    "Could not read enough bytes",
    "database has been invalidated",
)
_LOG = "replaying WAL"
_AGAIN = "every device sends again what it still holds (docs/ops/faults.md)"


def opening_error(path: Path, err: duckdb.Error) -> MilepostError:
    """Why the file cannot be opened: damaged, in another's hands, out of reach."""
    reason = str(err).splitlines()[0]
    if _LOG in reason:
        return Unavailable(
            f"{path}.wal: the store's log is damaged, nothing was changed: {reason}. "
            f"Move this log elsewhere and start again: {_AGAIN}"
        )
    return reading_error(path, err) or Unavailable(f"{path}: {reason}")


def reading_error(path: Path, err: duckdb.Error) -> MilepostError | None:
    """A damage that shows when a part of the file is read; None for any other error."""
    reason = str(err).splitlines()[0]
    return _damaged(path, reason) if any(words in reason for words in _DAMAGE) else None


def _damaged(path: Path, reason: str) -> MilepostError:
    return Unavailable(
        f"{path}: the telemetry store is damaged: {reason}. Put a copy back, or move {path.name} and {path.name}.wal "
        f"elsewhere and start again: a new store is begun, and {_AGAIN}"
    )
