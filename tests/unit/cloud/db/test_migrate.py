"""The migrations build exactly the tables the program declares, and can be taken back."""

from collections.abc import Iterator

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
import pytest
from sqlalchemy import Engine, inspect, text

from cloud.audit import tables as audit
from cloud.db import migrate
from cloud.db.base import Base
from cloud.db.engine import make_engine
from cloud.enrolment import tables as enrolment
from cloud.fleet import tables
from cloud.identity import tables as people
from sync_protocol.errors import Conflict


@pytest.fixture
def engine(empty_url: str) -> Iterator[Engine]:
    made = make_engine(empty_url)
    yield made
    made.dispose()


def test_upgrade_builds_what_the_tables_declare(engine: Engine) -> None:
    migrate.upgrade(engine)
    assert migrate.current(engine) == migrate.head()
    made = {
        audit.AuditEntry.__tablename__,
        tables.Vehicle.__tablename__,
        people.User.__tablename__,
        enrolment.ClaimCode.__tablename__,
    }
    assert made <= set(inspect(engine).get_table_names())
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_upgrade_twice_changes_nothing(engine: Engine) -> None:
    migrate.upgrade(engine)
    migrate.upgrade(engine)
    assert migrate.current(engine) == migrate.head()


def test_downgrade_leaves_nothing(engine: Engine) -> None:
    migrate.upgrade(engine)
    migrate.downgrade(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(engine)


def test_a_database_of_a_newer_program_is_refused(engine: Engine) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="install the newer version"):
        migrate.upgrade(engine)
