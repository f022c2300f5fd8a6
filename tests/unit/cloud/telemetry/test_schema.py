"""Columns come with the signals that occur; a store of an older version keeps its rows and loses its empty columns."""

from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from cloud.telemetry import schema
from cloud.telemetry.history import history
from cloud.telemetry.tiers import build
from sync_protocol.codec import encode
from sync_protocol.errors import Unavailable
from sync_protocol.messages import Meta, TimeAnchor
from sync_protocol.signals import catalogue
from tests.support.fleet import LocalPlane
from tests.support.frames import EPOCH_MS, group

STREAM = b"s" * 16
FAR = datetime(2100, 1, 1)


def frame(seq: int, values: dict[str, float], anchor_ms: int | None = None) -> bytes:
    at = seq * 60_000
    anchors = () if anchor_ms is None else (TimeAnchor(at, anchor_ms + at, "gps", 20),)
    return encode(STREAM, seq, 1, [group({name: [v] for name, v in values.items()}, [at])], Meta((), anchors))


@pytest.fixture
def plane(tmp_path: Path) -> LocalPlane:
    return LocalPlane(tmp_path)


def columns(plane: LocalPlane, table: str) -> set[str]:
    signals = {s.name for s in catalogue().signals}
    return {name for name in plane.store.read_sync(lambda c: schema.columns_of(c, table)) if name in signals}


def speeds(plane: LocalPlane, name: str) -> list[float | None]:
    start_us = EPOCH_MS * 1000
    return (
        plane.store.read_sync(lambda c: history(c, 1, 1, [name], start_us, start_us + 86_400_000_000)).series[0].value
    )


def test_a_signal_gets_its_column_when_it_first_occurs(plane: LocalPlane) -> None:
    plane.feed([frame(1, {"speed_kmh": 50}, EPOCH_MS)])
    assert columns(plane, "tel_base") == {"speed_kmh"}
    assert columns(plane, "tel") == {s.name for s in catalogue().signals}
    assert speeds(plane, "engine_rpm") == []  # never occurred: nothing, no fault
    plane.feed([frame(2, {"speed_kmh": 51, "engine_rpm": 900})])
    assert columns(plane, "tel_base") == {"speed_kmh", "engine_rpm"}
    plane.store.write_sync(lambda c: build(c, before=FAR))
    assert plane.rows("SELECT speed_kmh_last, engine_rpm_max FROM tel_1m ORDER BY bucket") == [(50, None), (51, 900)]
    assert speeds(plane, "engine_rpm") == [900]
    plane.verify()
    plane.close()


def test_a_signal_comes_in_the_commit_that_moves_older_rows(tmp_path: Path, plane: LocalPlane) -> None:
    plane.feed([frame(1, {"speed_kmh": 50}, EPOCH_MS)])
    plane.feed([frame(2, {"speed_kmh": 51, "coolant_c": 80}, EPOCH_MS + 5_000)])  # a better anchor: frame 1 is re-timed
    rows = plane.rows(f"SELECT epoch_ms(ts) - {EPOCH_MS}, speed_kmh, coolant_c FROM tel ORDER BY ts")
    assert [row[1:] for row in rows] == [(50, None), (51, 80)]
    plane.verify()
    plane.close()
    again = LocalPlane(tmp_path)
    assert again.rows(f"SELECT epoch_ms(ts) - {EPOCH_MS}, speed_kmh, coolant_c FROM tel ORDER BY ts") == rows
    again.close()


def test_a_store_of_version_2_keeps_its_rows(tmp_path: Path) -> None:
    wide = {"tel": [s.name for s in catalogue().signals]}
    wide["tel_1m"] = wide["tel_1h"] = [name for s in catalogue().signals for name in schema.tier_columns(s)]
    with duckdb.connect(str(tmp_path / "old.duckdb")) as old:
        schema.migrate(old)
        for table, names in wide.items():
            fixed = "vehicle_id INTEGER, " + ("ts TIMESTAMP" if table == "tel" else "bucket TIMESTAMP")
            old.execute(f"DROP VIEW {table}; DROP TABLE {table}_base")
            old.execute(f"CREATE TABLE {table}(tenant_id INTEGER, {fixed}, {', '.join(f'{n} FLOAT' for n in names)})")
        for column in ("device_id INTEGER", "stream_no INTEGER", "boot INTEGER", "seq BIGINT"):
            old.execute(f"ALTER TABLE tel ADD COLUMN {column}")
        old.execute("INSERT INTO tel (vehicle_id, ts, speed_kmh) VALUES (1, '2026-01-01', 50)")
        old.execute("INSERT INTO tel_1m (vehicle_id, bucket, speed_kmh_last) VALUES (1, '2026-01-01', 50)")
        old.execute("UPDATE schema_version SET version = 2")
        old.execute("DELETE FROM schema_version WHERE rowid > 0")
    with duckdb.connect(str(tmp_path / "old.duckdb")) as new:
        schema.migrate(new)
        assert new.execute("SELECT vehicle_id, speed_kmh, engine_rpm FROM tel").fetchall() == [(1, 50, None)]
        assert new.execute("SELECT speed_kmh_last, engine_rpm_last FROM tel_1m").fetchall() == [(50, None)]
        kept = {"tel_base": {"speed_kmh"}, "tel_1m_base": set(schema.tier_columns(catalogue().by_name["speed_kmh"]))}
        for table, expected in kept.items():
            assert schema.columns_of(new, table) & {*wide["tel"], *wide["tel_1m"]} == expected
        schema.migrate(new)


def test_a_store_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "new.duckdb")) as new:
        schema.migrate(new)
        new.execute("INSERT INTO schema_version VALUES (99)")
        with pytest.raises(Unavailable, match="version 99"):
            schema.migrate(new)
