"""The built app in the system's Chromium, against the fixture server of tests/support/web_fixture.py."""

from collections.abc import Iterator
import os
from pathlib import Path
import shutil

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
import pytest

from tests.support.web_fixture import DIST
from tests.support.web_server import WebServer

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs Chromium and the built app."""
    here = Path(__file__).parent
    reason = None
    if CHROMIUM is None:
        reason = "no Chromium: apt install chromium, or set CHROMIUM to its path"
    elif not (DIST / "index.html").is_file():
        reason = "the web app is not built: python scripts/web.py build"
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.peer)
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def server() -> Iterator[WebServer]:
    """The fixture server in a process of its own, so that a test may stop and start it."""
    with WebServer() as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module's tests; each test gets a context of its own.

    Not for the session: Playwright keeps an event loop running in this thread, in which no other test can have its own.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A fresh profile with a small window: software rendering pays for each pixel."""
    fresh = chromium.new_context(viewport={"width": 1100, "height": 720}, reduced_motion="reduce")
    fresh.set_default_timeout(20_000)
    yield fresh
    fresh.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails its test when the app throws."""
    errors: list[str] = []
    fresh = context.new_page()
    fresh.on("pageerror", lambda error: errors.append(str(error)))
    yield fresh
    assert errors == []
