"""Runs the migrations of the relational side, without an ini file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from cloud.db import row_security
from sync_protocol.errors import Conflict, Unavailable

LOCATION = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(LOCATION))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision that this version of the program knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def current(engine: Engine) -> str | None:
    """The revision the database stands at; None when it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database up to `revision`.

    Raises `Conflict` when a newer program has already taken it further: running on would lose what that wrote;
    `Unavailable` when the database does not answer or is damaged; `ConfigError` for a role of PostgreSQL that no policy
    binds.
    """
    try:
        _upgrade(engine, revision)
    except DatabaseError as err:
        raise Unavailable(
            f"{engine.url.render_as_string()}: the relational database cannot be used: {err.orig}. Nothing is changed. "
            "When it is damaged, put back a copy of both stores, taken together: devices send again what came since"
        ) from err


def _upgrade(engine: Engine, revision: str) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    at = current(engine)
    if at is not None and at not in known:
        raise Conflict(f"database is at revision {at}, which this version does not know: install the newer version")
    with engine.connect() as connection:
        row_security.check_role(connection)
    target = head() if revision == "head" else revision
    with _owned(engine, is_moving=at != target) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to `revision` (`base` for empty)."""
    with _owned(engine, is_moving=True) as connection:
        command.downgrade(_config(connection), revision)


@contextmanager
def _owned(engine: Engine, *, is_moving: bool) -> Iterator[Connection]:
    """A transaction of the owner; on PostgreSQL every table has its policy at its end, and none while tables change."""
    with engine.execution_options(is_write=True).begin() as connection:
        is_postgres = connection.dialect.name == "postgresql"
        if is_postgres:
            row_security.become_owner(connection)
            if is_moving:
                row_security.lift(connection)
        yield connection
        if is_postgres:
            row_security.protect(connection)
