"""Runs the migrations of the relational side, without an ini file."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

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
    `Unavailable` when the database does not answer or is damaged.
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
    with engine.execution_options(is_write=True).begin() as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to `revision` (`base` for empty)."""
    with engine.execution_options(is_write=True).begin() as connection:
        command.downgrade(_config(connection), revision)
