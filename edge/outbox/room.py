"""Room on the disk: the file is grown to its cap when it is made, and a ballast file stands by.

A full disk lets SQLite neither insert nor delete, since both write to its log. The database file already owns its
pages; freeing the ballast gives the log what it needs to let old frames make room for new ones.
"""

import os
from pathlib import Path
import shutil
import sqlite3

import msgspec

from edge.outbox.schema import PAGE_BYTES, connect, migrate
from sync_protocol.errors import Full

_FILL_BYTES = 1 << 20
_KEEP_FREE_PAGES = 8
_FRAME_OVERHEAD_BYTES = 64


class Room(msgspec.Struct, frozen=True):
    """How much the outbox may take. `size_bytes` is the database file, `ballast_bytes` the file beside it."""

    size_bytes: int = 64 << 20
    ballast_bytes: int = 2 << 20

    @property
    def pages(self) -> int:
        """The cap in pages."""
        return max(self.size_bytes // PAGE_BYTES, 32)


def create(path: Path, room: Room) -> bool:
    """Make a new outbox file of its full size under a name of its own, then move it into place.

    Returns whether it could be grown to its cap; on a disk without that much room it starts small.
    """
    fresh = path.with_name(path.name + ".new")
    for leftover in (fresh, *(Path(f"{fresh}{end}") for end in ("-journal", "-wal", "-shm"))):
        leftover.unlink(missing_ok=True)
    is_roomy = shutil.disk_usage(path.parent).free > room.size_bytes + 2 * room.ballast_bytes
    db = sqlite3.connect(fresh, isolation_level=None)
    try:
        db.execute(f"pragma page_size = {PAGE_BYTES}")
        db.execute("pragma journal_mode = off")  # nothing to roll back to; a journal in memory would be as large
        db.execute("pragma synchronous = off")
        if is_roomy:
            db.execute("create table filler (body blob)")
            missing = room.size_bytes
            while missing > 0:
                db.execute("insert into filler values (zeroblob(?))", [min(missing, _FILL_BYTES) - PAGE_BYTES])
                missing -= _FILL_BYTES
            db.execute("drop table filler")
    except sqlite3.OperationalError as err:
        db.close()
        fresh.unlink(missing_ok=True)
        raise Full(f"{path.parent}: no room for the outbox: {err}") from err
    db.close()
    prepared = connect(fresh)
    migrate(prepared)
    prepared.execute("pragma wal_checkpoint(truncate)")
    prepared.close()
    _sync(fresh)
    fresh.rename(path)
    _sync(path.parent)
    return is_roomy


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def has_room(db: sqlite3.Connection, room: Room, body_bytes: int) -> bool:
    """Whether a frame of this size fits under the cap."""
    total = int(db.execute("pragma page_count").fetchone()[0])
    free = int(db.execute("pragma freelist_count").fetchone()[0])
    needed = (body_bytes + _FRAME_OVERHEAD_BYTES) // PAGE_BYTES + 1 + _KEEP_FREE_PAGES
    return total - free + needed <= room.pages


def lay_ballast(path: Path, room: Room) -> None:
    """Put the ballast file (back) in place when the disk has the room for it; real blocks, not a hole."""
    ballast = ballast_path(path)
    if ballast.exists() or not room.ballast_bytes or shutil.disk_usage(path.parent).free < 2 * room.ballast_bytes:
        return
    try:
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, room.ballast_bytes)
    except OSError:
        ballast.unlink(missing_ok=True)


def free_ballast(path: Path) -> bool:
    """Give the ballast's blocks back to the disk. Returns whether there were any."""
    ballast = ballast_path(path)
    if not ballast.exists():
        return False
    ballast.unlink()
    return True


def ballast_path(path: Path) -> Path:
    """Where the ballast of an outbox lies."""
    return path.with_name(path.name + ".ballast")
