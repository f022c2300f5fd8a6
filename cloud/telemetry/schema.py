"""Tables of the embedded telemetry store (DuckDB), made from the signal catalogue, and their numbered migrations.

The frame is the truth; `tel`, `tel_marks` and `events` are its projection and can be made again; `tel_1m` and `tel_1h`
are made from `tel`. Timestamps are plain TIMESTAMP, microseconds of UTC: any other unit defeats pruning.
"""

import duckdb

from sync_protocol.errors import Unavailable
from sync_protocol.signals import Signal, catalogue

VERSION = 2

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


def _tel() -> str:
    columns = ", ".join(f"{s.name} {SQL_TYPES[s.type]}" for s in catalogue().signals)
    return f"CREATE TABLE tel({_PLACE}, ts TIMESTAMP, {columns});\n"


def _tier(name: str) -> str:
    columns = ", ".join(f"{column} {SQL_TYPES[s.type]}" for s in catalogue().signals for column in tier_columns(s))
    return f"CREATE TABLE {name}(tenant_id INTEGER, vehicle_id INTEGER, bucket TIMESTAMP, {columns});\n"


def _add_new_signals(connection: duckdb.DuckDBPyConnection) -> None:
    """A newer catalogue only ever adds signals: give them their columns."""
    for table in ("tel", "tel_1m", "tel_1h"):
        rows = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = ?", [table]
        ).fetchall()
        there = {name for (name,) in rows}
        for signal in catalogue().signals:
            names = (signal.name,) if table == "tel" else tier_columns(signal)
            for name in names:
                if name not in there:
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {SQL_TYPES[signal.type]}")


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the store to `VERSION`, in one transaction. `Unavailable` when a newer program wrote it."""
    connection.execute("CREATE TABLE IF NOT EXISTS schema_version(version INTEGER)")
    row = connection.execute("SELECT max(version) FROM schema_version").fetchone()
    found = row[0] if row is not None and row[0] is not None else 0
    if found > VERSION:
        raise Unavailable(f"the telemetry store has version {found}, this program knows {VERSION}: use the newer one")
    connection.execute("BEGIN")
    for version, script in enumerate(_MIGRATIONS, start=1):
        if version > found:
            connection.execute(script())
            connection.execute("INSERT INTO schema_version VALUES (?)", [version])
    _add_new_signals(connection)
    connection.execute("COMMIT")


def _version_1() -> str:
    return _FIXED + _tel() + _tier("tel_1m") + _tier("tel_1h")


def _version_2() -> str:
    """When devices sampled, rolled up from `frames` (`cloud/telemetry/spans.py`)."""
    return (
        "CREATE TABLE spans(tenant_id INTEGER, device_id INTEGER, stream_no INTEGER, boot INTEGER,"
        " first_ms BIGINT, last_ms BIGINT);"
    )


_MIGRATIONS = (_version_1, _version_2)
