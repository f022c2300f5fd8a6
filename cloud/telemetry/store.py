"""The DuckDB file: one process, one writer thread, a cursor for each reader thread. The only module that opens it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
import importlib.util
from pathlib import Path
import sys
import threading
import time
from typing import TypeVar

import duckdb
import pyarrow as pa
import structlog

from cloud.config import TelemetryConfig
from cloud.telemetry import schema
from cloud.telemetry.damage import opening_error, reading_error
from sync_protocol.errors import Full, Unavailable

log = structlog.get_logger()

_NO_ROOM = "No space left on device"
_CLOSING = "the telemetry store is closing"
_INSIST_S = 0.02

# duckdb looks for pandas at every parameter of every query; what is known not to be there is not searched for again.
# pyarrow looks once, and would take None for pandas: it looks before.
if importlib.util.find_spec("pandas") is None:
    pa.array(())
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]  # None says so

T = TypeVar("T")
Cursor = duckdb.DuckDBPyConnection


class TelemetryStore:
    """Frames and their projections. Reads run beside the writer over their own snapshot; writes one after the other."""

    def __init__(self, path: Path, config: TelemetryConfig | None = None) -> None:
        self.path = path
        self._config = config or TelemetryConfig()
        self._connection: Cursor | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._readers = ThreadPoolExecutor(self._config.readers, thread_name_prefix="store-read")
        self._local = threading.local()
        self._lock = threading.Lock()
        self._breakable: set[Cursor] = set()
        self._is_closing = False

    def open(self) -> None:
        """Open or make the file and migrate it.

        `Unavailable` when another process has it, a newer one made it, or it is damaged: then nothing is changed.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = duckdb.connect(
                str(self.path),
                config={
                    "threads": str(self._config.threads),
                    "memory_limit": self._config.memory_limit,
                    "checkpoint_threshold": f"{self._config.checkpoint_bytes}B",
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                },
            )
            schema.migrate(connection)
        except duckdb.Error as err:
            raise opening_error(self.path, err) from err
        self._connection = connection
        log.info("store_opened", path=str(self.path))

    def close(self) -> None:
        """Finish the commits that are queued, break off reads and jobs, checkpoint, close."""
        with self._lock:
            self._is_closing = True
        while breakable := self._under_way():
            for cursor in breakable:
                cursor.interrupt()  # ends one statement only, and nothing when it comes between two
            time.sleep(_INSIST_S)
        self._readers.shutdown(wait=True)
        self._writer.shutdown(wait=True)
        if self._connection is not None:
            try:
                self._connection.execute("CHECKPOINT")
            except duckdb.Error as err:
                # What is committed is in the log, which the next start folds in.
                log.warning("store_not_checkpointed", path=str(self.path), reason=str(err).splitlines()[0])
            self._connection.close()
            self._connection = None
            log.info("store_closed", path=str(self.path))

    async def read(self, fn: Callable[[Cursor], T]) -> T:
        """Run `fn` with a reader thread's cursor."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_sync, fn)

    def read_sync(self, fn: Callable[[Cursor], T]) -> T:
        """Run `fn` with this thread's own cursor. `Unavailable` when what it reads is damaged."""
        try:
            return self._broken_off_by_close(fn, self._cursor())
        except duckdb.Error as err:
            damage = reading_error(self.path, err)
            if damage is None:
                raise
            raise damage from err

    def submit(self, fn: Callable[[Cursor], T]) -> "Future[T]":
        """Queue `fn` for the writer thread, in one transaction: committed when it returns, rolled back when it raises.

        `Full` when the disk has no room for it: the ledger in memory is then ahead of the store, and only a restart
        makes them equal again.

        For ingest only; `close` waits for what is queued.
        """
        return self._writer.submit(self._transaction, fn)

    async def write(self, fn: Callable[[Cursor], T]) -> T:
        """`submit` and wait."""
        return await asyncio.wrap_future(self.submit(fn))

    async def work(self, fn: Callable[[Cursor], T]) -> T:
        """`write` for jobs that lose nothing when they are done again: `close` breaks them off, `Unavailable` then."""
        return await self.write(partial(self._broken_off_by_close, fn))

    def write_sync(self, fn: Callable[[Cursor], T]) -> T:
        """`submit` and wait, from another thread."""
        return self.submit(fn).result()

    def _broken_off_by_close(self, fn: Callable[[Cursor], T], cursor: Cursor) -> T:
        with self._lock:
            if self._is_closing:
                raise Unavailable(_CLOSING)
            self._breakable.add(cursor)
        try:
            return fn(cursor)
        except duckdb.InterruptException as err:
            raise Unavailable(_CLOSING) from err
        finally:
            with self._lock:
                self._breakable.discard(cursor)

    def _under_way(self) -> list[Cursor]:
        with self._lock:
            return list(self._breakable)

    def _transaction(self, fn: Callable[[Cursor], T]) -> T:
        cursor = self._cursor()
        try:
            cursor.execute("BEGIN")
            try:
                result = fn(cursor)
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
        except duckdb.Error as err:
            damage = reading_error(self.path, err)
            if damage is not None:
                raise damage from err
            if _NO_ROOM not in str(err):
                raise
            log.error("disk_full", path=str(self.path))
            raise Full(f"{self.path}: no space left on the disk; nothing of this commit is acknowledged") from err
        return result

    def _cursor(self) -> Cursor:
        if self._connection is None:
            raise Unavailable("the telemetry store is not open")
        cursor: Cursor | None = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._connection.cursor()
        return cursor
