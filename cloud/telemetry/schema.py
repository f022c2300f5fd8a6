"""Tables of the embedded telemetry store (DuckDB), made from the signal catalogue, and their numbered migrations.

The frame is the truth; `tel`, `tel_marks` and `events` are its projection and can be made again; `tel_1m` and `tel_1h`
are made from `tel`. Those three are views with a column for every signal of the catalogue, over tables (`tel_base` ...)
that have columns only for the signals that ever occurred: an empty column costs as much to write as a full one.
Timestamps are plain TIMESTAMP, microseconds of UTC: any other unit defeats pruning.
"""

from collections.abc import Iterable

import duckdb

from sync_protocol.errors import Unavailable
from sync_protocol.signals import Signal, catalogue

VERSION = 3

SQL_TYPES = {
    "boolean": "BOOLEAN",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "int16": "SMALLINT",
    "float": "FLOAT",
    "double": "DOUBLE",
}

_PLACE = "tenant_id INTEGER, vehicle_id INTEGER, device_id INTEGER, stream_no INTEGER, boot INTEGER, seq BIGINT"
_TIER = "tenant_id INTEGER, vehicle_id INTEGER, bucket TIMESTAMP"
_WIDE = {"tel": f"{_PLACE}, ts TIMESTAMP", "tel_1m": _TIER, "tel_1h": _TIER}

_FIXED = f"""
CREATE TABLE frames(tenant_id INTEGER, device_id INTEGER, stream_no INTEGER, seq BIGINT, crc UINTEGER, boot INTEGER,
    first_ms BIGINT, last_ms BIGINT, samples INTEGER, events INTEGER, received TIMESTAMP, body BLOB);
CREATE TABLE events({_PLACE}, ordinal INTEGER, boot_ms BIGINT, ts TIMESTAMP, kind VARCHAR, data VARCHAR);
CREATE TABLE tel_marks({_PLACE}, signal_id SMALLINT, first TIMESTAMP, last TIMESTAMP, kind VARCHAR);
CREATE TABLE anchors(stream_no INTEGER, boot INTEGER, seq BIGINT, boot_ms BIGINT, utc_ms BIGINT, source VARCHAR,
    uncertainty_ms BIGINT);
CREATE TABLE streams(stream_no INTEGER, tenant_id INTEGER, device_id INTEGER, stream_id BLOB, first_seen TIMESTAMP,
    last_seen TIMESTAMP, is_active BOOLEAN);
CREATE TABLE boots(stream_no INTEGER, boot INTEGER, first_seq BIGINT, seen TIMESTAMP);
CREATE TABLE ledger_range(stream_no INTEGER, state VARCHAR, first BIGINT, last BIGINT, reason VARCHAR);
CREATE TABLE quarantine(id BIGINT, tenant_id INTEGER, device_id INTEGER, stream_no INTEGER, seq BIGINT, crc UINTEGER,
    kind VARCHAR, reason VARCHAR, first_seen TIMESTAMP, last_seen TIMESTAMP, times INTEGER, body BLOB);
CREATE TABLE alerts(tenant_id INTEGER, device_id INTEGER, kind VARCHAR, detail VARCHAR, opened TIMESTAMP,
    last_seen TIMESTAMP, times BIGINT);
CREATE TABLE latest({_PLACE},
    ts TIMESTAMP, state BLOB);
CREATE TABLE dirty(tenant_id INTEGER, vehicle_id INTEGER, bucket TIMESTAMP);
CREATE SEQUENCE rewind_no;
CREATE TABLE rewinds(no BIGINT DEFAULT nextval('rewind_no'), device_id INTEGER, stream_no INTEGER, seq BIGINT);
CREATE TABLE job_state(name VARCHAR, value VARCHAR);
"""


def tier_columns(signal: Signal) -> tuple[str, str, str]:
    """Names of a signal's columns in `tel_1m` and `tel_1h`: smallest, largest, last."""
    return f"{signal.name}_min", f"{signal.name}_max", f"{signal.name}_last"


def _columns(table: str, signal: Signal) -> tuple[str, ...]:
    return (signal.name,) if table == "tel" else tier_columns(signal)


def add_columns(cursor: duckdb.DuckDBPyConnection, signals: Iterable[Signal]) -> None:
    """Give signals that occur for the first time their columns in all three tables, in the caller's transaction."""
    there = columns_of(cursor, "tel_base")
    new = [signal for signal in signals if signal.name not in there]
    for table in _WIDE:
        for signal in new:
            for column in _columns(table, signal):
                cursor.execute(f"ALTER TABLE {table}_base ADD COLUMN {column} {SQL_TYPES[signal.type]}")
    if new:
        _make_views(cursor)


def columns_of(cursor: duckdb.DuckDBPyConnection, table: str) -> set[str]:
    """Names of a table's columns."""
    rows = cursor.execute(f"DESCRIBE {table}").fetchall()
    return {name for name, *_ in rows}


def _make_views(connection: duckdb.DuckDBPyConnection) -> None:
    for table, fixed in _WIDE.items():
        there = columns_of(connection, f"{table}_base")
        columns = ", ".join(
            column if column in there else f"NULL::{SQL_TYPES[signal.type]} AS {column}"
            for signal in catalogue().signals
            for column in _columns(table, signal)
        )
        names = ", ".join(field.split()[0] for field in fixed.split(", "))
        connection.execute(f"CREATE OR REPLACE VIEW {table} AS SELECT {names}, {columns} FROM {table}_base")  # noqa: S608  # names of the schema; values are bound


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the store to `VERSION`, in one transaction. `Unavailable` when a newer program wrote it."""
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version(version INTEGER)")
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    found = row[0] if row is not None and row[0] is not None else 0
    if found > VERSION:
        raise Unavailable(f"the telemetry store has version {found}, this program knows {VERSION}: use the newer one")
    connection.execute("BEGIN")
    for version, change in enumerate(_MIGRATIONS, start=1):
        if version > found:
            change(connection)
            connection.execute("INSERT INTO schema_version VALUES (?)", [version])
    _make_views(connection)  # a newer catalogue has more signals
    connection.execute("COMMIT")


def _version_1(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_FIXED)
    for table, fixed in _WIDE.items():
        connection.execute(f"CREATE TABLE {table}_base({fixed})")


def _version_2(connection: duckdb.DuckDBPyConnection) -> None:
    """When devices sampled, rolled up from `frames` (`cloud/telemetry/spans.py`)."""
    connection.execute(
        "CREATE TABLE spans(tenant_id INTEGER, device_id INTEGER, stream_no INTEGER, boot INTEGER,"
        " first_ms BIGINT, last_ms BIGINT)"
    )


def _version_3(connection: duckdb.DuckDBPyConnection) -> None:
    """Until then the three were tables with a column for every signal; those that never occurred lose theirs."""
    if connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'tel'").fetchone() is None:
        return
    used: set[str] = set()
    names = [name for name in columns_of(connection, "tel") if name in catalogue().by_name]
    counts = connection.execute(f"SELECT {', '.join(f'count({name})' for name in names)} FROM tel").fetchone()  # noqa: S608  # names of the schema; values are bound
    assert counts is not None
    used.update(name for name, count in zip(names, counts, strict=True) if count)
    for table in _WIDE:
        connection.execute(f"ALTER TABLE {table} RENAME TO {table}_base")
        for name in names:
            if name not in used:
                for column in _columns(table, catalogue().by_name[name]):
                    connection.execute(f"ALTER TABLE {table}_base DROP COLUMN {column}")


_MIGRATIONS = (_version_1, _version_2, _version_3)
