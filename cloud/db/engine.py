"""The engine: one writer thread, a few readers, sync SQLAlchemy underneath (half the cost of an async driver)."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
import sqlite3
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError
from sqlalchemy.orm import Session

from cloud.config import DatabaseConfig
from cloud.db.row_security import begin_service
from sync_protocol.errors import ConfigError, Invalid, Unavailable

T = TypeVar("T")

READERS = 4
BUSY_MS = 5_000
# "milepost" in hexadecimal digits as near as it gets: whoever writes to a PostgreSQL database holds this lock.
_WRITER = 0x317E9057


def relational_url(config: DatabaseConfig, data_dir: Path) -> URL:
    """Where the relational side lives. `ConfigError` for another kind of database, and for a password in the URL."""
    if config.url is None:
        return make_url(f"sqlite:///{data_dir / 'fleet.db'}")
    try:
        url = make_url(config.url)
    except ArgumentError:
        raise ConfigError("$.database.url: expected a URL such as postgresql://milepost@db.example/milepost") from None
    if url.password is not None:
        raise ConfigError("$.database.url: expected no password in it; $.database.password_file names a file with it")
    if url.get_backend_name() == "sqlite":
        return url
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise ConfigError(f"$.database.url: expected postgresql:// or sqlite:///, got {url.drivername}://")
    password = None if config.password_file is None else _secret(config.password_file)
    return url.set(drivername="postgresql+psycopg", password=password)


def _secret(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as err:
        raise ConfigError(f"$.database.password_file: {path}: {err.strerror}") from err


def make_engine(url: str | URL) -> Engine:
    """An engine for `url`. SQLite gets WAL, `synchronous=FULL` and foreign keys.

    FULL, because ids handed out here are referred to by the telemetry store: a registration that a power cut undoes
    would give the same id to another device.
    """
    url = make_url(url)
    is_sqlite = url.get_backend_name() == "sqlite"
    try:
        # A connection that PostgreSQL closed meanwhile is replaced before it is used.
        engine = create_engine(url, pool_size=READERS + 1, max_overflow=4, pool_pre_ping=not is_sqlite)
    except ModuleNotFoundError as err:
        raise ConfigError(f"$.database.url: {err.name} is missing: pip install 'milepost[postgres]'") from err
    event.listen(engine, "connect", _on_sqlite_connect if is_sqlite else begin_service)
    event.listen(engine, "begin", _on_sqlite_begin if is_sqlite else _on_postgres_begin)
    return engine


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: it would begin too late to see one snapshot.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _is_write(connection) else "BEGIN")


def _on_postgres_begin(connection: Connection) -> None:
    # Each statement sees what was committed before it, and nobody else commits: as good as serialisable, without
    # failures that have to be tried again.
    if _is_write(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")


def _is_write(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("is_write", False))


class Database:
    """Runs functions over a session: reads in a small pool, writes one at a time in commit order.

    A function given to `run` or `write` must not await and must not keep the session. `write` commits when the
    function returns and rolls back when it raises. `Invalid`: a value that the database cannot hold, such as a text
    with a zero byte; `Unavailable`: the connection to a server broke or the disk has no room, and what was written in
    this transaction is undone.
    """

    def __init__(self, url: str | URL) -> None:
        self.engine = make_engine(url)
        self._write_engine = self.engine.execution_options(is_write=True)
        self._read_engine = self.engine
        if self.engine.dialect.name != "sqlite":
            self._read_engine = self.engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="db-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="db-write")

    async def run(self, fn: Callable[[Session], T]) -> T:
        """Read: `fn` in a reader thread, over one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.run_sync, fn)

    async def write(self, fn: Callable[[Session], T]) -> T:
        """Write: `fn` in the writer thread, in a transaction of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._commit, fn)

    def run_sync(self, fn: Callable[[Session], T]) -> T:
        """Read in the caller's thread."""
        with _translated(), Session(self._read_engine, expire_on_commit=False) as session:
            return fn(session)

    def write_sync(self, fn: Callable[[Session], T]) -> T:
        """Write from another thread: waits for its turn in the writer thread."""
        return self._writer.submit(self._commit, fn).result()

    def _commit(self, fn: Callable[[Session], T]) -> T:
        with _translated(), Session(self._write_engine, expire_on_commit=False) as session, session.begin():
            return fn(session)

    def close(self) -> None:
        """Finish what is queued, then close every connection."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self.engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DataError as err:
        raise Invalid("The database cannot hold one of these values.") from err
    except DBAPIError as err:
        if err.connection_invalidated or _is_away(err):
            raise Unavailable(f"the relational database does not answer: {err.orig}") from err
        raise


def _is_away(err: DBAPIError) -> bool:
    """Whether PostgreSQL cannot be reached, is stopping or starting, or the disk of either has no room or fails."""
    if isinstance(err.orig, sqlite3.Error):
        return getattr(err.orig, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    code = getattr(err.orig, "sqlstate", "")
    return code is None or code.startswith(("08", "53", "57P"))
