"""A telemetry store of millions of rows, made in SQL: what a fleet leaves behind after some days.

The last hours stand as ingest wrote them (ten rows of a vehicle at a time), older ones sorted as the store's job does.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
import time

import duckdb
import msgspec
from sqlalchemy.orm import Session
import structlog

from cloud.config import RegistryConfig, TelemetryConfig
from cloud.db import migrate
from cloud.db.engine import Database
from cloud.derive.engine import CursorState
from cloud.fleet.registry import FleetRegistry
from cloud.fleet.tables import DeriveCursor, Fault, VehicleState
from cloud.telemetry.schema import SQL_TYPES, tier_columns
from cloud.telemetry.store import TelemetryStore
from sync_protocol.signals import catalogue
from tests.support.frames import GPS_SIGNALS, OBD_SIGNALS

VEHICLES = 1_000
HOURS_UNSORTED = 3
HOURS_A_DAY = 2
EVENT_KINDS = ("harsh_brake", "dtc_set", "dtc_cleared", "obd_connected", "agent_started")
Cursor = duckdb.DuckDBPyConnection


def device(number: int) -> str:
    """Name of the n-th device; its id and its vehicle's id are n."""
    return f"bench-{number:04d}"


def build(folder: Path, rows: int) -> None:
    """Make both stores in a folder."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    folder.mkdir(parents=True, exist_ok=True)
    hours = list(_hours(max(1, round(rows / VEHICLES / 3600))))
    _relational(folder, len(hours) * 360, hours)
    store = TelemetryStore(folder / "telemetry.duckdb", TelemetryConfig(memory_limit="6GB"))
    store.open()
    seq = 1
    made: dict[bool, tuple[datetime, int]] = {}
    for hour, is_sorted in hours:
        started = time.monotonic()
        if is_sorted in made:
            work = partial(_copy, start=hour, seq=seq, first=made[is_sorted])
        else:
            made[is_sorted] = (hour, seq)
            work = partial(_hour, start=hour, seq=seq, is_sorted=is_sorted)
        store.write_sync(work)
        seq += 360
        how = "sorted" if is_sorted else "as it came"
        print(f"  {hour:%d %H:%M} {how}: {time.monotonic() - started:.1f} s", flush=True)
    store.write_sync(lambda cursor: _ledger(cursor, seq - 1, hours[0][0], hours[-1][0]))
    store.close()


def _hours(count: int) -> Iterator[tuple[datetime, bool]]:
    """Starts of hours in time, the newest ending now; whether each is sorted."""
    now = datetime.now(UTC).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    starts = [now - timedelta(hours=n + 1) for n in range(min(count, HOURS_UNSORTED))]
    day = 2
    while len(starts) < count:
        noon = now - timedelta(days=day)
        starts += [noon - timedelta(hours=n + 1) for n in range(min(HOURS_A_DAY, count - len(starts)))]
        day += 1
    for n, start in reversed(list(enumerate(starts))):
        yield start, n >= HOURS_UNSORTED


def _signals() -> list[tuple[str, str]]:
    """(name, SQL of a value that wanders) of what a vehicle sends."""
    out = []
    for name in (*OBD_SIGNALS, *GPS_SIGNALS):
        signal = catalogue().by_name.get(name)
        if signal is None:
            continue
        step, middle = float(signal.factor), signal.value(signal.typical)
        wave = f"abs((i // {3 + signal.id % 7} + v * 5) % 32 - 16) + (i * 7 + v) % 3"
        low = 0 if signal.min >= 0 else signal.min
        value = f"greatest({low}, {middle} + ({wave}) * {step})"
        if name == "lat_deg":
            value = "47.0 + v * 0.0001 + i * 0.000013"
        elif name == "lon_deg":
            value = "9.4 + v * 0.0001 + i * 0.000017"
        out.append((signal.name, f"({value})::{SQL_TYPES[signal.type]}"))
    return out


def _copy(cursor: Cursor, *, start: datetime, seq: int, first: tuple[datetime, int]) -> None:
    """An hour like the first one of its kind, later."""
    begin, end = first[0], first[0] + timedelta(hours=1)
    later, on = f"to_seconds({(start - begin).total_seconds():.0f})", seq - first[1]
    for table, moved, kept in (
        ("tel", f"ts + {later} AS ts, seq + {on} AS seq", "ts"),
        (
            "frames",
            f"received + {later} AS received, seq + {on} AS seq, first_ms + epoch_ms({later}) AS first_ms,"
            f" last_ms + epoch_ms({later}) AS last_ms",
            "received - INTERVAL 11 SECOND",
        ),
        ("events", f"ts + {later} AS ts, seq + {on} AS seq", "ts"),
        ("tel_1m", f"bucket + {later} AS bucket", "bucket"),
        ("tel_1h", f"bucket + {later} AS bucket", "bucket"),
    ):
        cursor.execute(
            f"INSERT INTO {table} SELECT * REPLACE ({moved}) FROM {table} WHERE {kept} >= ? AND {kept} < ?",
            [begin, end],
        )


def _hour(cursor: Cursor, *, start: datetime, is_sorted: bool, seq: int) -> None:
    signals = _signals()
    names = ", ".join(name for name, _ in signals)
    values = ", ".join(f"{sql} AS {name}" for name, sql in signals)
    # Numbered so that rows come out in the wanted order without a sort.
    place = "n // 3600 + 1 AS v, n % 3600 AS i"
    if not is_sorted:
        place = f"n // 10 % {VEHICLES} + 1 AS v, n // {VEHICLES * 10} * 10 + n % 10 AS i"
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE hour AS SELECT v, i, ?::TIMESTAMP + to_seconds(i) AS ts, {values}"
        f" FROM (SELECT {place} FROM range({VEHICLES * 3600}) a(n))",
        [start],
    )
    cursor.execute(
        f"INSERT INTO tel (tenant_id, vehicle_id, device_id, stream_no, boot, seq, ts, {names})"
        f" SELECT 1, v, v, v, 1, {seq} + i // 10, ts, {names} FROM hour"
    )
    cursor.execute(
        f"INSERT INTO frames SELECT 1, v, v, {seq} + i // 10, (hash(v, i) % 4294967296)::UINTEGER, 1,"
        f" epoch_ms(ts), epoch_ms(ts) + 9000, {len(signals) * 10}, 0, ts + INTERVAL 11 SECOND, 'frame'::BLOB"
        " FROM hour WHERE i % 10 = 0 ORDER BY i, v"
    )
    kinds = ", ".join(f"'{kind}'" for kind in EVENT_KINDS)
    cursor.execute(
        f"INSERT INTO events SELECT 1, v, v, v, 1, {seq} + i // 10, 0, epoch_ms(ts), ts,"
        f" [{kinds}][1 + (i // 180 + v) % {len(EVENT_KINDS)}], '{{\"peak_ms2\": 4.5}}'"
        " FROM hour WHERE i % 180 = 0 ORDER BY i, v"
    )
    triples = [tier_columns(catalogue().by_name[name]) for name, _ in signals]
    columns = ", ".join(column for triple in triples for column in triple)
    made = ", ".join(f"min({n}), max({n}), arg_max({n}, ts)" for n, _ in signals)
    cursor.execute(
        f"INSERT INTO tel_1m (tenant_id, vehicle_id, bucket, {columns})"
        f" SELECT 1, v, date_trunc('minute', ts)::TIMESTAMP AS b, {made} FROM hour GROUP BY v, b ORDER BY b, v"
    )
    made = ", ".join(f"min({low}), max({high}), arg_max({last}, bucket)" for low, high, last in triples)
    cursor.execute(
        f"INSERT INTO tel_1h (tenant_id, vehicle_id, bucket, {columns})"
        f" SELECT 1, vehicle_id, ?::TIMESTAMP, {made} FROM tel_1m WHERE bucket >= ? GROUP BY vehicle_id",
        [start, start],
    )
    cursor.execute("DROP TABLE hour")


def _ledger(cursor: Cursor, last_seq: int, start: datetime, sorted_before: datetime) -> None:
    everyone = f"FROM range(1, {VEHICLES + 1}) a(v)"
    cursor.execute(
        "INSERT INTO streams SELECT v, 1, v, unhex(md5('stream' || v::VARCHAR)), ?, now() AT TIME ZONE 'UTC', false"
        f" {everyone}",
        [start],
    )
    cursor.execute(f"INSERT INTO boots SELECT v, 1, 1, ? {everyone}", [start])
    cursor.execute(f"INSERT INTO anchors SELECT v, 1, 1, 0, 0, 'gps', 20 {everyone}")
    # The service's own job shall not sort them again while the bench measures.
    cursor.execute("INSERT INTO job_state VALUES ('sorted_before', ?)", [sorted_before.isoformat()])
    cursor.execute(f"INSERT INTO ledger_range SELECT v, 'stored', 1, {last_seq}, NULL {everyone}")


def _relational(folder: Path, last_seq: int, hours: list[tuple[datetime, bool]]) -> None:
    db = Database(f"sqlite:///{folder / 'fleet.db'}")
    migrate.upgrade(db.engine)
    registry = FleetRegistry(db, RegistryConfig())
    registry.load()
    for number in range(1, VEHICLES + 1):
        found = registry.device("demo", device(number))
        assert found is not None
        assert found.id == number

    def fill(session: Session) -> None:
        state = msgspec.msgpack.encode(CursorState())
        for number in range(1, VEHICLES + 1):
            place = {"tenant_id": 1, "vehicle_id": number, "device_id": number}
            for hour, _ in hours:
                since = hour.replace(tzinfo=UTC)
                for part, status in enumerate(("driving", "idling", "driving", "parked")):
                    begin = since + timedelta(minutes=15 * part)
                    session.add(VehicleState(**place, status=status, since=begin, until=begin + timedelta(minutes=15)))
            for code in ("P0301", "P0420"):
                session.add(Fault(**place, code=code, status="stored", first_seen=since, last_seen=since))
            session.add(DeriveCursor(device_id=number, tenant_id=1, stream_no=number, seq=last_seq, state=state))

    db.write_sync(fill)
    db.close()
