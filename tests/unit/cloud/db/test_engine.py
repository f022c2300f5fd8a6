"""Sessions: durability settings, snapshots, one writer, rollback."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from cloud.config import DatabaseConfig
from cloud.db.base import Utc
from cloud.db.engine import Database, relational_url
from cloud.fleet.tables import Tenant
from sync_protocol.errors import ConfigError, Unavailable

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def db(new_url: Callable[[], str]) -> Iterator[Database]:
    database = Database(new_url())
    yield database
    database.close()


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Tenant)) or 0


def test_sqlite_is_durable(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'fleet.db'}")

    def pragmas(session: Session) -> list[object]:
        return [session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]

    assert db.run_sync(pragmas) == ["wal", 2, 1]
    db.close()


def test_a_failed_write_leaves_nothing(db: Database) -> None:
    def fail(session: Session) -> None:
        session.add(Tenant(name="acme", created=NOW))
        session.flush()
        raise KeyError("after the insert")

    with pytest.raises(KeyError):
        db.write_sync(fail)
    assert db.run_sync(count) == 0


def test_a_full_disk_is_no_bug_of_ours(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'fleet.db'}")

    def fill(session: Session) -> None:
        session.execute(text("CREATE TABLE filler (content BLOB)"))
        session.execute(text("PRAGMA max_page_count = 8"))
        session.execute(text("INSERT INTO filler VALUES (zeroblob(100000))"))

    with pytest.raises(Unavailable, match="full"):
        db.write_sync(fill)
    assert db.run_sync(lambda session: session.scalar(text("SELECT count(*) FROM sqlite_master"))) == 0
    db.close()


def test_writes_from_many_tasks_all_land(db: Database) -> None:
    async def main() -> int:
        await asyncio.gather(*(db.write(lambda s, n=n: s.add(Tenant(name=f"t{n}", created=NOW))) for n in range(20)))
        return await db.run(count)

    assert asyncio.run(main()) == 20


def test_instants_come_back_aware_and_equal(db: Database) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    db.write_sync(lambda s: s.add(Tenant(name="acme", created=local)))
    assert db.run_sync(lambda s: s.scalars(select(Tenant.created)).one()) == NOW


def test_a_naive_instant_is_a_bug(db: Database) -> None:
    with pytest.raises(ValueError, match="aware"):
        Utc().process_bind_param(datetime(2026, 1, 1), None)


def test_a_read_sees_one_snapshot(db: Database) -> None:
    def read(session: Session) -> tuple[int, int]:
        before = count(session)
        db.write_sync(lambda other: other.add(Tenant(name="acme", created=NOW)))
        return before, count(session)

    assert db.run_sync(read) == (0, 0)
    assert db.run_sync(count) == 1


def test_two_programs_write_one_after_the_other(db: Database) -> None:
    """Each reads the number of tenants and writes it down: none is written twice."""
    other = Database(db.engine.url)

    def add(session: Session) -> None:
        session.add(Tenant(name=f"t{count(session)}", created=NOW))

    async def main() -> None:
        await asyncio.gather(*(database.write(add) for _ in range(10) for database in (db, other)))

    asyncio.run(main())
    other.close()
    assert db.run_sync(count) == 20


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("open:sesame\n")
    config = DatabaseConfig("postgresql://milepost@db.example/milepost", secret)
    url = relational_url(config, tmp_path)
    assert (url.drivername, url.password) == ("postgresql+psycopg", "open:sesame")
    assert "sesame" not in str(url)
    assert relational_url(DatabaseConfig(), tmp_path).database == str(tmp_path / "fleet.db")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (DatabaseConfig("postgresql://milepost:sesame@db.example/milepost"), "expected no password in it"),
        (DatabaseConfig("mysql://db.example/milepost"), "expected postgresql:// or sqlite:///"),
        (DatabaseConfig("db.example"), "expected a URL"),
        (DatabaseConfig("postgresql://db.example/milepost", Path("/nowhere/password")), "No such file"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_by_name(config: DatabaseConfig, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        relational_url(config, Path())
    assert "sesame" not in str(refused.value)
