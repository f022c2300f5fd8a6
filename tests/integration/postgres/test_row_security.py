"""On PostgreSQL no statement, however it is written, reaches rows of another tenant."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
import os
import subprocess

import pytest
from sqlalchemy import create_engine, func, make_url, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from cloud.app import Cloud
from cloud.db import migrate
from cloud.db.base import Base, TenantOwned
from cloud.db.engine import Database, make_engine
from cloud.db.row_security import unprotected
from cloud.db.scope import TenantDatabase
from cloud.fleet.tables import Tenant, Vehicle
from cloud.identity.tables import Membership, User
from sync_protocol.errors import ConfigError, Invalid, Unavailable
from tests.support.postgres_peer import OWNER, PostgresPeer

pytestmark = pytest.mark.peer
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS, THEIRS = 1, 2


def fill(session: Session) -> None:
    for tenant in (OURS, THEIRS):
        session.add(Tenant(id=tenant, name=f"t{tenant}", created=NOW))
        session.add(User(id=tenant, email=f"{tenant}@fleet.example", name="Mara", is_demo=False, created=NOW))
        session.flush()
        session.add(Vehicle(id=tenant, tenant_id=tenant, name=f"v{tenant}", created=NOW))
        session.add(Membership(id=tenant, tenant_id=tenant, user_id=tenant, role="owner", created=NOW))


@pytest.fixture
def db(postgres: PostgresPeer) -> Iterator[Database]:
    url = postgres.database()
    database = Database(url)
    database.write_sync(fill)
    yield database
    database.close()
    postgres.drop(url)


def raw(db: Database, sql: str) -> list[tuple[object, ...]]:
    """What a statement that nobody narrowed gives within a session of tenant `OURS`."""

    def run(session: Session) -> list[tuple[object, ...]]:
        result = session.execute(text(sql))
        return [tuple(row) for row in result] if result.returns_rows else [(result.rowcount,)]

    return asyncio.run(TenantDatabase(db, OURS).write(run))


def test_every_table_of_tenants_has_its_policy(db: Database) -> None:
    assert Cloud is not None, "imports every table"
    owned = {mapper.local_table.name for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantOwned)}
    with db.engine.connect() as connection:
        named = set(
            connection.scalars(
                text("SELECT table_name FROM information_schema.columns WHERE column_name = 'tenant_id'")
            )
        )
        guarded = set(
            connection.scalars(
                text(
                    "SELECT tablename FROM pg_policies p JOIN pg_class c ON c.relname = p.tablename "
                    "WHERE c.relrowsecurity AND c.relforcerowsecurity AND qual LIKE '%tenant_id = %'"
                )
            )
        )
        assert unprotected(connection) == []
    assert owned == named
    assert owned <= guarded


def test_raw_sql_sees_one_tenant(db: Database) -> None:
    assert raw(db, "SELECT tenant_id FROM vehicles") == [(OURS,)]
    assert raw(db, "SELECT id FROM vehicles WHERE tenant_id = 2 OR true") == [(OURS,)]
    assert raw(db, "SELECT id FROM tenants") == [(OURS,)]
    assert raw(db, "SELECT email FROM users") == [("1@fleet.example",)]
    assert raw(db, "SELECT count(*) FROM vehicles v JOIN memberships m ON true") == [(1,)]


def test_raw_sql_changes_and_removes_nothing_of_another(db: Database) -> None:
    assert raw(db, "UPDATE vehicles SET name = 'changed'") == [(1,)]
    assert raw(db, "DELETE FROM memberships WHERE tenant_id = 2") == [(0,)]
    names = db.run_sync(lambda session: session.scalars(select(Vehicle.name).order_by(Vehicle.id)).all())
    assert names == ["changed", "v2"]
    with pytest.raises(ProgrammingError, match="row-level security"):
        raw(db, "INSERT INTO vehicles (tenant_id, name, created) VALUES (2, 'x', now())")
    with pytest.raises(ProgrammingError, match="row-level security"):
        raw(db, "UPDATE vehicles SET tenant_id = 2")


def test_the_next_transaction_of_a_connection_is_the_service_again(db: Database) -> None:
    for _ in range(10):
        assert raw(db, "SELECT count(*) FROM vehicles") == [(1,)]
        assert db.run_sync(lambda session: session.scalar(select(func.count()).select_from(Vehicle))) == 2
    with pytest.raises(ProgrammingError):
        raw(db, "SELECT no_such_column FROM vehicles")
    assert db.run_sync(lambda session: session.scalar(select(func.count()).select_from(Vehicle))) == 2


def test_who_does_not_say_who_asks_sees_nothing(db: Database, postgres: PostgresPeer) -> None:
    """Not even the owner of the tables."""
    stranger = create_engine(db.engine.url)
    with stranger.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM vehicles")) == 0
        connection.exec_driver_sql(f"SET ROLE {OWNER}")
        assert connection.scalar(text("SELECT count(*) FROM users")) == 0
    stranger.dispose()


def test_the_service_owns_nothing(db: Database) -> None:
    with db.engine.connect() as connection, pytest.raises(ProgrammingError, match="must be owner"):
        connection.exec_driver_sql("ALTER TABLE vehicles DISABLE ROW LEVEL SECURITY")


def test_a_read_writes_nothing(db: Database) -> None:
    with pytest.raises(Exception, match="read-only transaction"):
        db.run_sync(lambda session: session.execute(text("DELETE FROM vehicles")))


def test_a_new_table_is_protected_by_the_upgrade_that_brings_it(db: Database, postgres: PostgresPeer) -> None:
    name = db.engine.url.database
    assert name is not None
    postgres.run(f"SET ROLE {OWNER}", "CREATE TABLE spare (tenant_id bigint)", database=name)
    postgres.run("ALTER TABLE faults NO FORCE ROW LEVEL SECURITY", database=name)
    with db.engine.connect() as connection:
        assert unprotected(connection) == ["faults", "spare"]
    migrate.upgrade(db.engine)
    with db.engine.connect() as connection:
        assert unprotected(connection) == []
    db.write_sync(lambda session: session.execute(text("INSERT INTO spare VALUES (1), (2)")))
    assert raw(db, "SELECT tenant_id FROM spare") == [(OURS,)]


def test_a_role_above_policies_is_refused(postgres: PostgresPeer) -> None:
    url = postgres.empty_database()
    engine = make_engine(url.replace("milepost@", "postgres@"))
    with pytest.raises(ConfigError, match="neither SUPERUSER nor BYPASSRLS"):
        migrate.upgrade(engine)
    engine.dispose()
    postgres.drop(url)


def test_a_value_that_the_database_cannot_hold_is_the_callers_fault(db: Database) -> None:
    for name in ("zero\0byte", "x" * 81):
        with pytest.raises(Invalid, match="cannot hold"):
            db.write_sync(lambda session, name=name: session.add(Vehicle(tenant_id=OURS, name=name, created=NOW)))


def test_a_backup_of_the_service_is_whole(db: Database, postgres: PostgresPeer) -> None:
    """As docs/ops/postgres.md says: pg_dump as the owner's member, with the setting; without it pg_dump refuses."""
    url = db.engine.url
    dump = [postgres.programs / "pg_dump", "-h", postgres.home, "-U", "milepost", f"--role={OWNER}", url.database]
    refused = subprocess.run(dump, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "row-level security" in refused.stderr
    env = {**os.environ, "PGOPTIONS": "-c milepost.service=on"}
    made = subprocess.run([*dump, "--enable-row-security"], capture_output=True, check=True, env=env)
    copy = postgres.empty_database()
    name = make_url(copy).database
    restore = [postgres.programs / "psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", postgres.home, "-U", "milepost", name]
    into = {**env, "PGOPTIONS": f"-c milepost.service=on -c role={OWNER}"}
    subprocess.run(restore, input=made.stdout, capture_output=True, check=True, env=into)
    restored = Database(copy)
    migrate.upgrade(restored.engine)
    assert restored.run_sync(lambda session: session.scalar(select(func.count()).select_from(Vehicle))) == 2
    assert raw(restored, "SELECT tenant_id FROM vehicles") == [(OURS,)]
    restored.close()
    postgres.drop(copy)


def test_a_server_that_restarts_breaks_what_is_under_way_only(postgres: PostgresPeer) -> None:
    url = postgres.database()
    db = Database(url)
    db.write_sync(fill)

    def cut(session: Session) -> None:
        session.add(Vehicle(id=9, tenant_id=OURS, name="lost", created=NOW))
        session.flush()
        postgres.halt()
        session.execute(text("SELECT 1"))

    with pytest.raises(Unavailable):
        db.write_sync(cut)
    postgres.launch()
    assert db.run_sync(lambda session: session.scalars(select(Vehicle.id).order_by(Vehicle.id)).all()) == [1, 2]
    db.close()
    postgres.drop(url)
