"""A telemetry store of millions of rows, made in SQL: what a fleet that never stops leaves behind.

As a running service leaves it: the last 15 to 25 minutes as they came (ten rows of a vehicle at a time), the 36 hours
before sorted ten minutes at a time, older ones by the hour; the minutes' tier a minute of the fleet at a time for the
last hour, then sorted by the hour, older days by the day. It ends when it is done, so that questions up to now meet
all of that. Frames have bodies of bytes that do not compress, as long as a real drive's, so that the file is as large.
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
from cloud.telemetry.schema import SQL_TYPES, add_columns, tier_columns
from cloud.telemetry.store import TelemetryStore
from sync_protocol.signals import catalogue
from tests.support.frames import GPS_SIGNALS, OBD_SIGNALS

VEHICLES = 1_000
LATE = timedelta(hours=36)
EVENT_KINDS = ("harsh_brake", "dtc_set", "dtc_cleared", "obd_connected", "agent_started")
WEEK = timedelta(days=7)
_BODY = "unhex(concat(" + ", ".join(f"md5(concat(v, '.', i, '.', {n}))" for n in range(16)) + "))"
Cursor = duckdb.DuckDBPyConnection
Slice = tuple[datetime, int, bool]
"""Start, seconds, whether it is sorted."""


def device(number: int) -> str:
    """Name of the n-th device; its id and its vehicle's id are n."""
    return f"bench-{number:04d}"


def build(folder: Path, rows: int, vehicles: int = VEHICLES) -> datetime:
    """Make both stores in a folder: a row a second of each vehicle. Returns the end, naive UTC.

    The tiers are those of a whole week, however few hours of rows there are.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    folder.mkdir(parents=True, exist_ok=True)
    sorted_to = floor(_now() - timedelta(minutes=15), 600)
    slices = list(_slices(sorted_to - timedelta(seconds=rows / vehicles), sorted_to))
    start = slices[0][0] if slices else sorted_to
    store = TelemetryStore(folder / "telemetry.duckdb", TelemetryConfig(memory_limit="6GB"))
    store.open()
    store.write_sync(lambda cursor: add_columns(cursor, [catalogue().by_name[name] for name in _names()]))
    made: dict[tuple[int, bool], tuple[datetime, int]] = {}
    seq, begun = 1, time.monotonic()
    for begin, seconds, is_sorted in slices:
        kind = seconds, is_sorted
        if kind in made:
            work = partial(_copy, start=begin, seconds=seconds, seq=seq, first=made[kind])
        else:
            made[kind] = begin, seq
            work = partial(_slice, vehicles=vehicles, start=begin, seconds=seconds, seq=seq, is_sorted=is_sorted)
        store.write_sync(work)
        seq += seconds // 10
    print(f"  {len(slices)} sorted slices: {time.monotonic() - begun:.0f} s", flush=True)
    store.write_sync(partial(_minutes, vehicles=vehicles, end=sorted_to, since=min(start, sorted_to - WEEK)))
    print(f"  minutes: {time.monotonic() - begun:.0f} s", flush=True)
    tail = _now()
    seconds = int((tail - sorted_to).total_seconds()) // 10 * 10
    tail_of = partial(_slice, vehicles=vehicles, start=sorted_to, seconds=seconds, seq=seq)
    store.write_sync(partial(tail_of, is_sorted=False, has_minutes=True))
    seq += seconds // 10
    end = sorted_to + timedelta(seconds=seconds)
    store.write_sync(lambda cursor: _ledger(cursor, vehicles, seq - 1, start, sorted_to, end))
    store.close()
    _relational(folder, vehicles, seq - 1, start, end)
    print(f"  {(tail - sorted_to).total_seconds() / 60:.0f} min as they came, up to {end:%H:%M:%S}", flush=True)
    return end


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def floor(ts: datetime, seconds: int) -> datetime:
    """The multiple of `seconds` before."""
    return datetime(1970, 1, 1) + (ts - datetime(1970, 1, 1)) // timedelta(seconds=seconds) * timedelta(seconds=seconds)


def _slices(start: datetime, end: datetime) -> Iterator[Slice]:
    """Slices in time up to `end`: of an hour when older than 36 hours, else of ten minutes."""
    at = floor(start, 600)
    while at < end:
        seconds = 3600 if end - at > LATE and at.minute == 0 else 600
        yield at, seconds, True
        at += timedelta(seconds=seconds)


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


def _copy(cursor: Cursor, *, start: datetime, seconds: int, seq: int, first: tuple[datetime, int]) -> None:
    """A slice like the first one of its kind, later."""
    begin, end = first[0], first[0] + timedelta(seconds=seconds)
    later, on = f"to_seconds({(start - begin).total_seconds():.0f})", seq - first[1]
    names = ", ".join(("tenant_id", "vehicle_id", "device_id", "stream_no", "boot", "seq", "ts", *_names()))
    cursor.execute(
        f"INSERT INTO tel_base ({names}) SELECT {names} FROM (SELECT * REPLACE (ts + {later} AS ts, seq + {on} AS seq)"
        " FROM tel WHERE ts >= ? AND ts < ?)",
        [begin, end],
    )
    for table, moved, kept in (
        (
            "frames",
            f"received + {later} AS received, seq + {on} AS seq, first_ms + epoch_ms({later}) AS first_ms,"
            f" last_ms + epoch_ms({later}) AS last_ms",
            "received - INTERVAL 11 SECOND",
        ),
        ("events", f"ts + {later} AS ts, seq + {on} AS seq", "ts"),
    ):
        cursor.execute(
            f"INSERT INTO {table} SELECT * REPLACE ({moved}) FROM {table} WHERE {kept} >= ? AND {kept} < ?",
            [begin, end],
        )


def _names() -> list[str]:
    return [name for name, _ in _signals()]


def _slice(
    cursor: Cursor,
    *,
    vehicles: int,
    start: datetime,
    seconds: int,
    seq: int,
    is_sorted: bool,
    has_minutes: bool = False,
) -> None:
    signals = _signals()
    names = ", ".join(_names())
    values = ", ".join(f"{sql} AS {name}" for name, sql in signals)
    # Numbered so that rows come out in the wanted order without a sort.
    place = f"n // {seconds} + 1 AS v, n % {seconds} AS i"
    if not is_sorted:
        place = f"n // 10 % {vehicles} + 1 AS v, n // {vehicles * 10} * 10 + n % 10 AS i"
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE made AS SELECT v, i, ?::TIMESTAMP + to_seconds(i) AS ts, {values}"
        f" FROM (SELECT {place} FROM range({vehicles * seconds}) a(n))",
        [start],
    )
    cursor.execute(
        f"INSERT INTO tel_base (tenant_id, vehicle_id, device_id, stream_no, boot, seq, ts, {names})"
        f" SELECT 1, v, v, v, 1, {seq} + i // 10, ts, {names} FROM made"
    )
    cursor.execute(
        f"INSERT INTO frames SELECT 1, v, v, {seq} + i // 10, (hash(v, i) % 4294967296)::UINTEGER, 1,"
        f" epoch_ms(ts), epoch_ms(ts) + 9000, {len(signals) * 10}, 0, ts + INTERVAL 11 SECOND, {_BODY}"
        " FROM made WHERE i % 10 = 0 ORDER BY i, v"
    )
    kinds = ", ".join(f"'{kind}'" for kind in EVENT_KINDS)
    cursor.execute(
        f"INSERT INTO events SELECT 1, v, v, v, 1, {seq} + i // 10, 0, epoch_ms(ts), ts,"
        f" [{kinds}][1 + (i // 180 + v) % {len(EVENT_KINDS)}], '{{\"peak_ms2\": 4.5}}'"
        " FROM made WHERE i % 180 = 0 ORDER BY i, v"
    )
    if has_minutes:
        _roll_up(cursor, "tel_1m_base", "made", "v", "date_trunc('minute', ts)::TIMESTAMP")
        cursor.execute(  # as the builder leaves it: what ended less than 90 s ago is still to do
            "INSERT INTO dirty SELECT DISTINCT 1, v, date_trunc('minute', ts)::TIMESTAMP AS b FROM made WHERE b > ?",
            [start + timedelta(seconds=seconds - 90)],
        )
    cursor.execute("DROP TABLE made")


def _roll_up(cursor: Cursor, target: str, source: str, vehicle: str, bucket: str) -> None:
    columns = ", ".join(column for name in _names() for column in tier_columns(catalogue().by_name[name]))
    made = ", ".join(f"min({n}), max({n}), arg_max({n}, ts)" for n in _names())
    cursor.execute(
        f"INSERT INTO {target} (tenant_id, vehicle_id, bucket, {columns})"
        f" SELECT 1, {vehicle}, {bucket} AS b, {made} FROM {source} GROUP BY {vehicle}, b ORDER BY b, {vehicle}"
    )


def _minutes(cursor: Cursor, *, vehicles: int, end: datetime, since: datetime) -> None:
    """Ten minutes of the tier, over and over from `since` to `end`; the hours from them."""
    begin = end - timedelta(minutes=10)
    cursor.execute("CREATE TEMP TABLE last_ten AS SELECT * FROM tel_base WHERE ts >= ? AND ts < ?", [begin, end])
    cursor.execute("CREATE TEMP TABLE ten AS SELECT * FROM tel_1m_base")
    _roll_up(cursor, "ten", "last_ten", "vehicle_id", "date_trunc('minute', ts)::TIMESTAMP")
    triples = [tier_columns(catalogue().by_name[name]) for name in _names()]
    names = ", ".join(column for triple in triples for column in triple)
    for at, until, is_sorted in _tier_slices(since, end):
        step = max(1, 1_000_000 * timedelta(minutes=1) // (until - at) // 8)  # so many vehicles at a time
        for low in range(1, vehicles + 1, step if is_sorted else vehicles):
            cursor.execute(
                f"INSERT INTO tel_1m_base (tenant_id, vehicle_id, bucket, {names})"
                f" SELECT 1, vehicle_id, bucket + (?::TIMESTAMP - ?::TIMESTAMP) + to_minutes(10 * n) AS bucket, {names}"
                " FROM ten, range(?) a(n) WHERE vehicle_id >= ? AND vehicle_id < ?"
                f" ORDER BY {'vehicle_id, bucket' if is_sorted else 'bucket, vehicle_id'}",
                [at, begin, (until - at) // timedelta(minutes=10), low, low + (step if is_sorted else vehicles)],
            )
    made = ", ".join(f"min({low}), max({high}), max({last})" for low, high, last in triples)
    cursor.execute(
        f"INSERT INTO tel_1h_base (tenant_id, vehicle_id, bucket, {names}) SELECT 1, vehicle_id, hour, {made} FROM ten,"
        f" (SELECT ?::TIMESTAMP + to_hours(n) AS hour FROM range(?) a(n)) GROUP BY vehicle_id, hour ORDER BY hour",
        [floor(since, 3600), (end - since) // timedelta(hours=1) + 1],
    )
    cursor.execute("DROP TABLE last_ten")
    cursor.execute("DROP TABLE ten")


def _tier_slices(since: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, bool]]:
    """From, to, whether sorted: days, then hours of the last 36, then the ten minutes that no sorting came to."""
    at = since
    fresh, late = floor(end, 3_600), floor(end - LATE, 86_400)
    while at < end:
        width = 86_400 if at < late else 3_600 if at < fresh else 600
        until = min(floor(at, width) + timedelta(seconds=width), end)
        yield at, until, at < fresh
        at = until


def _ledger(cursor: Cursor, vehicles: int, last_seq: int, start: datetime, sorted_to: datetime, end: datetime) -> None:
    everyone = f"FROM range(1, {vehicles + 1}) a(v)"
    cursor.execute(
        "INSERT INTO streams SELECT v, 1, v, unhex(md5('stream' || v::VARCHAR)), ?, now() AT TIME ZONE 'UTC', false"
        f" {everyone}",
        [start],
    )
    cursor.execute(f"INSERT INTO boots SELECT v, 1, 1, ? {everyone}", [start])
    cursor.execute(f"INSERT INTO anchors SELECT v, 1, 1, 0, 0, 'gps', 20 {everyone}")
    cursor.execute(f"INSERT INTO ledger_range SELECT v, 'stored', 1, {last_seq}, NULL {everyone}")
    rolled = end - timedelta(minutes=10)
    cursor.execute(
        f"INSERT INTO spans SELECT 1, v, v, 1, epoch_ms(?::TIMESTAMP), epoch_ms(?::TIMESTAMP) {everyone}",
        [start, rolled],
    )
    for job, done in (
        ("sorted_fresh", sorted_to),
        ("sorted_before", floor(sorted_to - LATE, 3_600)),
        ("sorted_minutes", floor(sorted_to - LATE, 86_400)),
        ("sorted_fresh_minutes", floor(sorted_to, 3_600)),
        ("spans_to", rolled),
    ):
        cursor.execute("INSERT INTO job_state VALUES (?, ?)", [job, done.isoformat()])


def _relational(folder: Path, vehicles: int, last_seq: int, start: datetime, end: datetime) -> None:
    db = Database(f"sqlite:///{folder / 'fleet.db'}")
    migrate.upgrade(db.engine)
    registry = FleetRegistry(db, RegistryConfig(), is_demo=True)
    registry.load()
    for number in range(1, vehicles + 1):
        found = registry.device("demo", device(number))
        assert found is not None
        assert found.id == number

    def fill(session: Session) -> None:
        state = msgspec.msgpack.encode(CursorState())
        for number in range(1, vehicles + 1):
            place = {"tenant_id": 1, "vehicle_id": number, "device_id": number}
            for hour in range((end - start) // timedelta(hours=1) + 1):
                since = start.replace(tzinfo=UTC) + timedelta(hours=hour)
                for part, status in enumerate(("driving", "idling", "driving", "parked")):
                    begin = since + timedelta(minutes=15 * part)
                    session.add(VehicleState(**place, status=status, since=begin, until=begin + timedelta(minutes=15)))
            for code in ("P0301", "P0420"):
                session.add(Fault(**place, code=code, status="stored", first_seen=since, last_seen=since))
            session.add(DeriveCursor(device_id=number, tenant_id=1, stream_no=number, seq=last_seq, state=state))

    db.write_sync(fill)
    db.close()
