"""The outbox's tables, and how a connection to them is opened.

`frames.id` is `stream_no << 32 | seq`: one B-tree, written at its end only, and a frame's row never changes. What is
acknowledged or forked are ranges in the stream's row, so an acknowledgement rewrites one page, not the frames.
"""

from pathlib import Path
import sqlite3

PAGE_BYTES = 4096
_WAL_PAGES = 250
_LATEST = "0001_outbox"

_TABLES = """
create table kv (key text primary key, value) without rowid;
create table streams (
  no integer primary key,
  stream_id blob not null unique,
  is_active integer not null,
  cause text not null,
  boot integer not null,
  last_seq integer not null default 0,
  last_ms integer not null default 0,
  acked blob not null,
  forked blob not null
);
create table gaps (
  stream_no integer not null,
  first integer not null,
  last integer not null,
  reason text not null,
  is_told integer not null,
  primary key (stream_no, first)
) without rowid;
create table frames (id integer primary key, events integer not null, body blob not null);
"""


def frame_id(stream_no: int, seq: int) -> int:
    """Row id of a frame."""
    return stream_no << 32 | seq


def stream_seq(row_id: int) -> tuple[int, int]:
    """Inverse of `frame_id`: (stream_no, seq)."""
    return row_id >> 32, row_id & 0xFFFFFFFF


def connect(path: Path) -> sqlite3.Connection:
    """A connection for the outbox's one writer. Used by one thread at a time."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute(f"pragma wal_autocheckpoint = {_WAL_PAGES}")
    db.execute(f"pragma journal_size_limit = {2 * _WAL_PAGES * PAGE_BYTES}")
    return db


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing, for looking at an outbox whose agent may be running."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=5)
    db.execute("pragma query_only = 1")
    return db


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables to this version. sqlite-utils (9 MB of memory) is imported only when there is need."""
    has_log = db.execute("select count(*) from sqlite_master where name = '_sqlite_migrations'").fetchone()[0]
    if has_log and db.execute("select count(*) from _sqlite_migrations where name = ?", [_LATEST]).fetchone()[0]:
        return
    from sqlite_utils import Database, Migrations

    migrations = Migrations("outbox")

    @migrations(name="0001_outbox")
    def _outbox(target: Database) -> None:
        for statement in _TABLES.split(";"):
            if statement.strip():
                target.conn.execute(statement)

    migrations.apply(Database(db))


def is_sound(db: sqlite3.Connection) -> bool:
    """Whether SQLite finds the file's structure whole."""
    try:
        return [row[0] for row in db.execute("pragma quick_check(1)")] == ["ok"]
    except sqlite3.DatabaseError:
        return False
