"""Closing the store: commits are kept, reads and jobs are broken off."""

import asyncio
from pathlib import Path
import threading

import pytest

from cloud.telemetry.store import Cursor, TelemetryStore
from sync_protocol.errors import Unavailable

# Minutes of work, if nobody stops it.
ENDLESS = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"


def closed_while(store: TelemetryStore, runs: str) -> list[BaseException]:
    """Close the store while a job or a read is in the middle of a statement. What it ended with."""
    has_begun = threading.Event()
    ended: list[BaseException] = []

    def endless(cursor: Cursor) -> None:
        cursor.execute("DELETE FROM job_state" if runs == "job" else "SELECT 1")
        has_begun.set()
        cursor.execute(ENDLESS).fetchall()

    def run() -> None:
        try:
            asyncio.run(store.work(endless) if runs == "job" else store.read(endless))
        except Unavailable as err:
            ended.append(err)

    thread = threading.Thread(target=run)
    thread.start()
    assert has_begun.wait(20)
    store.submit(lambda cursor: cursor.execute("INSERT INTO job_state VALUES ('queued', 'kept')").fetchall())
    store.close()
    thread.join(20)
    return ended


@pytest.fixture
def store(tmp_path: Path) -> TelemetryStore:
    made = TelemetryStore(tmp_path / "t.duckdb")
    made.open()
    made.write_sync(lambda cursor: cursor.execute("INSERT INTO job_state VALUES ('before', 'kept')").fetchall())
    return made


def test_close_breaks_a_job_off_and_undoes_it(store: TelemetryStore) -> None:
    (error,) = closed_while(store, "job")
    assert "closing" in str(error)
    again = TelemetryStore(store.path)
    again.open()
    rows = again.read_sync(lambda cursor: cursor.execute("SELECT name FROM job_state ORDER BY name").fetchall())
    again.close()
    assert rows == [("before",), ("queued",)]
    assert not store.path.with_suffix(".duckdb.wal").exists()  # checkpointed, no transaction was left open


def test_close_breaks_a_read_off(store: TelemetryStore) -> None:
    (error,) = closed_while(store, "read")
    assert "closing" in str(error)
