"""The engine: one writer thread, a few readers, sync SQLAlchemy underneath (half the cost of an async driver)."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.orm import Session

T = TypeVar("T")

READERS = 4
BUSY_MS = 5_000


def make_engine(url: str) -> Engine:
    """An engine for `url`. SQLite gets WAL, `synchronous=FULL` and foreign keys.

    FULL, because ids handed out here are referred to by the telemetry store: a registration that a power cut undoes
    would give the same id to another device.
    """
    engine = create_engine(url, pool_size=READERS + 1, max_overflow=4)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    # The driver must not open transactions by itself: it would begin too late to see one snapshot.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    is_write = connection.get_execution_options().get("is_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


class Database:
    """Runs functions over a session: reads in a small pool, writes one at a time in commit order.

    A function given to `run` or `write` must not await and must not keep the session. `write` commits when the
    function returns and rolls back when it raises.
    """

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        self._write_engine = self.engine.execution_options(is_write=True)
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
        with Session(self.engine, expire_on_commit=False) as session:
            return fn(session)

    def write_sync(self, fn: Callable[[Session], T]) -> T:
        """Write from another thread: waits for its turn in the writer thread."""
        return self._writer.submit(self._commit, fn).result()

    def _commit(self, fn: Callable[[Session], T]) -> T:
        with Session(self._write_engine, expire_on_commit=False) as session, session.begin():
            return fn(session)

    def close(self) -> None:
        """Finish what is queued, then close every connection."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self.engine.dispose()
