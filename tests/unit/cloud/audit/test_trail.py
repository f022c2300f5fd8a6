"""What is written leaves its entry, in the same transaction, as caused by whoever called."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
import shutil

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud.audit.chain import Entry
from cloud.audit.reading import Wanted, every, page, verify
from cloud.audit.tables import AuditEntry
from cloud.audit.trail import TracedDatabase
from cloud.db.scope import TenantDatabase, narrow
from cloud.fleet.tables import Device, Tenant, Vehicle
from cloud.identity.members import tenants_of
from cloud.identity.policy import Role
from cloud.identity.tables import Membership, PersonSession, User
from cloud.origin import Origin, acting

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MARA = Origin("user", 7, "change_vehicle", "192.0.2.1", "test", "ab12")


@pytest.fixture
def db(sqlite_at_head: Path, tmp_path: Path) -> Iterator[TracedDatabase]:
    shutil.copy(sqlite_at_head, tmp_path / "fleet.db")
    database = TracedDatabase(f"sqlite:///{tmp_path / 'fleet.db'}", tenants_of, lambda: NOW)
    database.write_sync(lambda session: session.add_all([Tenant(id=n, name=f"t{n}", created=NOW) for n in (1, 2)]))
    database.write_sync(lambda session: session.add(Vehicle(id=10, tenant_id=1, name="Van", created=NOW)))
    yield database
    database.close()


def log(db: TracedDatabase, tenant_id: int = 1) -> list[Entry]:
    return db.run_sync(lambda session: list(every(session, tenant_id)))


def plain(entry: Entry) -> tuple[str, str, str, str, str]:
    return entry.change, entry.object_kind, entry.object_id, bytes(entry.before).decode(), bytes(entry.after).decode()


def rename(session: Session) -> None:
    vehicle = session.get(Vehicle, 10)
    assert vehicle is not None
    vehicle.name, vehicle.plate = "Van 2", "AB-1"


def test_a_change_tells_who_what_before_and_after(db: TracedDatabase) -> None:
    with acting(MARA):
        asyncio.run(TenantDatabase(db, 1).write(rename))
    entry = log(db)[-1]
    assert plain(entry) == (
        "changed",
        "vehicle",
        "10",
        '{"name":"Van","plate":null}',
        '{"name":"Van 2","plate":"AB-1"}',
    )
    assert (entry.actor_kind, entry.actor_number, entry.operation) == ("user", 7, "change_vehicle")
    assert (entry.address, entry.agent, entry.request_id, entry.ts) == ("192.0.2.1", "test", "ab12", NOW)
    assert log(db, 2)[-1].object_kind == "tenant"


def test_what_is_added_and_removed(db: TracedDatabase) -> None:
    db.write_sync(lambda session: session.add(Device(id=5, tenant_id=1, name="van-1", created=NOW)))
    db.write_sync(lambda session: session.delete(session.get_one(Device, 5)))
    added, removed = log(db)[-2:]
    values = '{"name":"van-1","agent_version":null,"created":"2026-11-24T12:00:00Z","removed":null}'
    assert plain(added) == ("added", "device", "van-1", "null", values)
    assert plain(removed) == ("removed", "device", "van-1", values, "null")
    assert (added.actor_kind, added.actor_number) == ("service", None)


def test_a_write_that_changes_nothing_leaves_nothing(db: TracedDatabase) -> None:
    before = log(db)

    def same(session: Session) -> None:
        session.get_one(Vehicle, 10).name = "Van"

    db.write_sync(same)
    assert log(db) == before


def test_what_fails_leaves_neither_change_nor_entry(db: TracedDatabase) -> None:
    before = log(db)

    def fail(session: Session) -> None:
        rename(session)
        session.flush()
        raise KeyError

    with pytest.raises(KeyError):
        db.write_sync(fail)
    assert log(db) == before
    assert db.run_sync(lambda session: session.get_one(Vehicle, 10).name) == "Van"


def test_without_an_entry_there_is_no_change(db: TracedDatabase) -> None:
    with db.engine.begin() as connection:
        connection.execute(
            text("CREATE TRIGGER full BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(ABORT,'x'); END")
        )
    with pytest.raises(IntegrityError):
        db.write_sync(rename)
    assert db.run_sync(lambda session: session.get_one(Vehicle, 10).name) == "Van"


def test_an_account_concerns_each_of_its_tenants_and_its_secrets_stay_out(db: TracedDatabase) -> None:
    def join(session: Session) -> None:
        user = User(id=7, email="mara@fleet.example", name="Mara", password_hash="$argon$", is_demo=False, created=NOW)
        session.add(user)
        session.flush()
        for tenant_id in (1, 2):
            session.add(Membership(tenant_id=tenant_id, user_id=7, role=Role.OWNER, created=NOW))

    db.write_sync(join)

    def change(session: Session) -> None:
        session.get_one(User, 7).password_hash = "$argon$other"

    db.write_sync(change)
    for tenant_id in (1, 2):
        entries = log(db, tenant_id)[-3:]
        assert [(e.change, e.object_kind, e.object_id) for e in entries] == [
            ("added", "user", "7"),
            ("added", "member", "7"),
            ("changed", "user", "7"),
        ]
        assert plain(entries[2])[3:] == ('{"password_hash":"(hidden)"}', '{"password_hash":"(hidden)"}')
        told = " ".join(str(plain(entry)) for entry in entries)
        assert not any(word in told for word in ("mara", "Mara", "argon"))


def test_a_session_that_is_only_refreshed_is_not_told(db: TracedDatabase) -> None:
    def join(session: Session) -> None:
        session.add(User(id=7, email="m@x.example", name="M", is_demo=False, created=NOW))
        session.flush()
        times = {"created": NOW, "refreshed": NOW, "expires": NOW}
        session.add(PersonSession(id="s", tenant_id=1, user_id=7, generation=1, agent="", address="", **times))

    db.write_sync(join)
    before = log(db)

    def refresh(session: Session) -> None:
        session.get_one(PersonSession, "s").generation = 2

    def end(session: Session) -> None:
        session.get_one(PersonSession, "s").ended = NOW

    db.write_sync(refresh)
    assert log(db) == before
    db.write_sync(end)
    assert plain(log(db)[-1])[:3] == ("changed", "session", "s")


@pytest.mark.parametrize(
    "statement",
    [
        update(Vehicle).values(name="x"),
        delete(Vehicle),
        insert(Vehicle).values(tenant_id=1, name="x", created=NOW),
    ],
    ids=["update", "delete", "insert"],
)
def test_many_rows_at_once_are_refused(db: TracedDatabase, statement: object) -> None:
    with pytest.raises(TypeError, match="vehicles is watched"):
        db.write_sync(lambda session: session.execute(statement))  # type: ignore[call-overload]
    assert db.run_sync(lambda session: session.scalar(select(func.count()).select_from(Vehicle))) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET operation = 'x'",
        "DELETE FROM audit_entries",
        "DELETE FROM audit_heads",
        "INSERT OR REPLACE INTO audit_entries SELECT * FROM audit_entries WHERE number = 1",
    ],
)
def test_the_database_refuses_to_change_the_log(db: TracedDatabase, statement: str) -> None:
    before = log(db)
    with db.engine.connect() as connection, pytest.raises(IntegrityError, match="append-only"):
        connection.execute(text(statement))
    assert log(db) == before


def test_a_look_is_noted_for_each_tenant(db: TracedDatabase) -> None:
    with acting(Origin("operator", operation="verify")):
        asyncio.run(db.note([1, 2], "ledger"))
    asyncio.run(db.note([], "ledger"))
    for tenant_id in (1, 2):
        entry = log(db, tenant_id)[-1]
        assert (entry.actor_kind, entry.operation, *plain(entry)) == (
            "operator",
            "verify",
            "read",
            "ledger",
            "",
            "null",
            "null",
        )


def test_many_writers_keep_the_chain(db: TracedDatabase) -> None:
    """Two services over one file, which must not happen, and many threads in each, which does."""
    other = TracedDatabase(db.engine.url, tenants_of)
    with ThreadPoolExecutor(8) as pool:
        for number in range(120):
            tenant_id = 1 + number % 2
            row = Vehicle(tenant_id=tenant_id, name=f"v{number}", created=NOW)
            pool.submit((db, other)[number % 3 == 0].write_sync, lambda session, row=row: session.add(row))
    other.close()
    walks = [db.run_sync(lambda session, t=tenant: verify(session, t)) for tenant in (1, 2)]
    assert [(walk.entries, walk.fault) for walk in walks] == [(62, None), (61, None)]


def test_damage_in_the_database_is_found(db: TracedDatabase) -> None:
    for name in ("a", "b", "c"):
        db.write_sync(lambda session, name=name: session.add(Vehicle(tenant_id=1, name=name, created=NOW)))
    whole = db.run_sync(lambda session: verify(session, 1))
    assert (whole.entries, whole.fault) == (5, None)
    with db.engine.begin() as connection:
        for trigger in ("audit_entries_no_update", "audit_entries_no_delete"):
            connection.execute(text(f"DROP TRIGGER {trigger}"))
    harms = {
        "UPDATE audit_entries SET after = replace(after, '\"b\"', '\"x\"') WHERE tenant_id = 1": 4,
        "UPDATE audit_entries SET ts = '2026-11-24 12:00:01' WHERE tenant_id = 1 AND number = 2": 2,
        "DELETE FROM audit_entries WHERE tenant_id = 1 AND number = 3": 3,
        "DELETE FROM audit_entries WHERE tenant_id = 1 AND number = 5": 5,
        "UPDATE audit_entries SET number = number + 10 WHERE tenant_id = 1 AND number > 3": 4,
        "DELETE FROM audit_entries WHERE tenant_id = 1": 1,
    }
    for harm, number in harms.items():
        with db.engine.connect() as connection:  # rolled back at its end
            connection.execute(text(harm))
            fault = verify(Session(connection), 1).fault
        assert fault is not None, harm
        assert fault.number == number, harm
    assert db.run_sync(lambda session: verify(session, 2)).fault is None


def test_searching(db: TracedDatabase) -> None:
    with acting(MARA):
        db.write_sync(rename)

    def found(limit: int = 10, before: int | None = None, tenant_id: int = 1, **wanted: object) -> list[int]:
        def read(session: Session) -> list[int]:
            narrow(session, tenant_id)
            return [entry.number for entry in page(session, Wanted(**wanted), limit, before)]  # type: ignore[arg-type]

        return db.run_sync(read)

    assert found() == [3, 2, 1]
    assert found(limit=1) == [3, 2]
    assert found(before=3) == [2, 1]
    assert found(actor_kind="user", actor_number=7) == [3]
    assert found(actor_kind="key", actor_number=7) == []
    assert found(operation="change_vehicle") == [3]
    assert found(object_kind="vehicle", object_id="10") == [3, 2]
    assert found(start=NOW, end=NOW + timedelta(seconds=1)) == [3, 2, 1]
    assert found(end=NOW) == []
    assert found(tenant_id=2, object_kind="vehicle") == []


def test_every_entry_is_there_once() -> None:
    columns = set(AuditEntry.__table__.columns.keys())
    assert columns == set(Entry.__struct_fields__)
