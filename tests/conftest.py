"""What every test run shares: markers from fixtures' needs, and the rule that CI skips nothing in silence."""

import os

from hypothesis import HealthCheck, settings
import pytest

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
