"""A disk that is full: the policy, with SQLite's own error codes."""

from pathlib import Path
import sqlite3

import pytest

from edge.outbox.frame_file import condition
from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room, ballast_path, create, free_ballast, lay_ballast
from edge.outbox.schema import connect, connect_read_only, is_sound
from edge.outbox.worker import OutboxWorker
from sync_protocol.errors import Full, Unavailable
from sync_protocol.header import frame_crc
from tests.support.edge_fakes import IDENTITY, frame_maker

HUGE = 1 << 60


def fill_until_refused(outbox: Outbox) -> None:
    for _ in range(200):
        outbox.append(frame_maker(9000))


def test_on_a_small_disk_the_file_starts_small(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    assert create(path, Room(size_bytes=HUGE, ballast_bytes=0)) is False
    assert path.stat().st_size < 100_000


def test_ballast_is_laid_once_freed_once_and_not_at_all_without_room(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    lay_ballast(path, Room(ballast_bytes=8192))
    lay_ballast(path, Room(ballast_bytes=4096))
    assert ballast_path(path).stat().st_size == 8192
    assert free_ballast(path)
    assert not free_ballast(path)
    lay_ballast(path, Room(ballast_bytes=HUGE))
    lay_ballast(path, Room(ballast_bytes=0))
    assert not ballast_path(path).exists()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, Full),
        (sqlite3.SQLITE_IOERR_WRITE, Unavailable),
        (sqlite3.SQLITE_READONLY, Unavailable),
        (sqlite3.SQLITE_ERROR, sqlite3.OperationalError),
    ],
)
def test_only_a_full_disk_is_full(tmp_path: Path, code: int, kind: type[Exception]) -> None:
    """The folder has room: an input/output error there is a disk that fails."""
    found = sqlite3.OperationalError("as SQLite says")
    found.sqlite_errorcode = code
    assert type(condition(tmp_path / "outbox.db", found)) is kind


def test_sqlite_reporting_full_frees_the_ballast_and_tries_again(tmp_path: Path) -> None:
    path = outbox_path(tmp_path, "acme", "van-1")
    outbox = Outbox(path, IDENTITY, Room(size_bytes=64 * 4096, ballast_bytes=8192))
    used = outbox._db.execute("pragma page_count").fetchone()[0]
    outbox._db.execute(f"pragma max_page_count = {used}")
    outbox._room = Room(size_bytes=1 << 30, ballast_bytes=8192)
    with pytest.raises(Full):
        fill_until_refused(outbox)
    assert not ballast_path(path).exists()
    held = outbox.active.held.count()
    assert held > 0
    outbox._room = Room(size_bytes=64 * 4096, ballast_bytes=8192)
    assert outbox.append(frame_maker(9000))[1] == held + 1
    for _ in range(64):
        outbox.append(frame_maker(100))
    assert ballast_path(path).exists(), "it is laid again when there is room"
    outbox.close()


def test_reading_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    create(path, Room(size_bytes=1 << 20))
    reader = connect_read_only(path)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("delete from frames")
    reader.close()
    db = connect(path)
    assert is_sound(db)
    db.close()


def test_the_worker_says_what_the_outbox_says(tmp_path: Path) -> None:
    import asyncio

    async def work() -> None:
        path = outbox_path(tmp_path, "acme", "van-1")
        room = Room(size_bytes=64 * 4096, ballast_bytes=0)
        worker = await OutboxWorker.open(path, IDENTITY, room)
        with pytest.raises(Exception, match="another agent"):
            await OutboxWorker.open(path, IDENTITY, room)
        stream_id, seq = await worker.append(frame_maker(), {"odometer_raw": 1})
        (frame,) = await worker.pick(5, set())
        assert (frame.stream_id, frame.seq) == (stream_id, seq)
        assert await worker.ack(stream_id, [(seq, seq, frame_crc(frame.body))]) == [(seq, seq)]
        await worker.flush()
        assert (await worker.fork(stream_id, [(seq, 1)])).forked == ()
        states = await worker.hello_streams()
        assert (await worker.answer(states, [], {})).again == 1
        assert (await worker.totals()).pending == 1
        await worker.close()

    asyncio.run(work())
