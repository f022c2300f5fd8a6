"""Sessions: durability settings, snapshots, one writer, rollback."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from cloud.db import migrate
from cloud.db.base import Utc
from cloud.db.engine import Database
from cloud.fleet.tables import Tenant

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'fleet.db'}")
    migrate.upgrade(database.engine)
    yield database
    database.close()


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Tenant)) or 0


def test_sqlite_is_durable(db: Database) -> None:
    def pragmas(session: Session) -> list[object]:
        return [session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")]

    assert db.run_sync(pragmas) == ["wal", 2, 1]


def test_a_failed_write_leaves_nothing(db: Database) -> None:
    def fail(session: Session) -> None:
        session.add(Tenant(name="acme", created=NOW))
        session.flush()
        raise KeyError("after the insert")

    with pytest.raises(KeyError):
        db.write_sync(fail)
    assert db.run_sync(count) == 0


def test_writes_from_many_tasks_all_land(db: Database) -> None:
    async def main() -> int:
        await asyncio.gather(
            *(db.write(lambda s, n=n: s.add(Tenant(name=f"t{n}", created=NOW))) for n in range(20))  # type: ignore[misc]
        )
        return await db.run(count)

    assert asyncio.run(main()) == 20


def test_instants_come_back_aware_and_equal(db: Database) -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    db.write_sync(lambda s: s.add(Tenant(name="acme", created=local)))
    assert db.run_sync(lambda s: s.scalars(select(Tenant.created)).one()) == NOW


def test_a_naive_instant_is_a_bug(db: Database) -> None:
    with pytest.raises(ValueError, match="aware"):
        Utc().process_bind_param(datetime(2026, 1, 1), None)  # type: ignore[arg-type]
