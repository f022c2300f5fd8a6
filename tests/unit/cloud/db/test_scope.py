"""No query of one tenant sees, changes or removes a row of another."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, aliased

from cloud.db.engine import Database
from cloud.db.scope import TenantDatabase, narrow
from cloud.fleet.tables import Device, Tenant, Vehicle
from sync_protocol.errors import Denied

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS, THEIRS = 1, 2


@pytest.fixture
def db(new_url: Callable[[], str]) -> Iterator[Database]:
    database = Database(new_url())

    def fill(session: Session) -> None:
        for tenant in (OURS, THEIRS):
            session.add(Tenant(id=tenant, name=f"t{tenant}", created=NOW))
            session.flush()
            for n in range(3):
                number = tenant * 10 + n
                session.add(Vehicle(id=number, tenant_id=tenant, name=f"v{number}", created=NOW))
                session.add(Device(id=number, tenant_id=tenant, name=f"d{number}", created=NOW))

    database.write_sync(fill)
    yield database
    database.close()


def ours(db: Database, session: Session) -> Session:
    narrow(session, OURS)
    return session


def test_selects_are_narrowed(db: Database) -> None:
    other = aliased(Vehicle)
    with Session(db.engine) as session:
        ours(db, session)
        assert {v.tenant_id for v in session.scalars(select(Vehicle))} == {OURS}
        assert session.scalar(select(func.count()).select_from(other)) == 3
        assert session.scalar(select(func.count(Vehicle.id))) == 3
        pairs = session.execute(select(Vehicle.id, other.id).join(other, other.name != Vehicle.name)).all()
        assert {x // 10 for pair in pairs for x in pair} == {OURS}
        assert session.scalars(select(Device.id).where(Device.id.in_(select(Vehicle.id)))).all() == [10, 11, 12]


def test_a_known_id_of_another_tenant_is_not_found(db: Database) -> None:
    with Session(db.engine) as session:
        ours(db, session)
        assert session.get(Vehicle, 10) is not None
        assert session.get(Vehicle, 20) is None


def test_two_scopes_do_not_share_what_they_compiled(db: Database) -> None:
    for tenant in (OURS, THEIRS, OURS):
        with Session(db.engine) as session:
            narrow(session, tenant)
            assert {v.tenant_id for v in session.scalars(select(Vehicle))} == {tenant}


def test_updates_and_deletes_are_narrowed(db: Database) -> None:
    scoped = TenantDatabase(db, OURS)

    def change(session: Session) -> None:
        session.execute(update(Vehicle).values(name="changed"))
        session.execute(delete(Device))

    asyncio.run(scoped.write(change))
    with Session(db.engine) as session:
        assert session.scalar(select(func.count(Vehicle.id)).where(Vehicle.name == "changed")) == 3
        assert {d.tenant_id for d in session.scalars(select(Device))} == {THEIRS}


def test_writing_a_row_of_another_tenant_is_refused(db: Database) -> None:
    scoped = TenantDatabase(db, OURS)
    with pytest.raises(Denied):
        asyncio.run(scoped.write(lambda s: s.add(Vehicle(tenant_id=THEIRS, name="x", created=NOW))))
