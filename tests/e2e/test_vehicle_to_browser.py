"""From an ELM327 on a pty and gpsd on TCP to pixels in Chromium: every part is the real one but the vehicle."""

from collections.abc import Iterator
import os
from pathlib import Path
import re
import shutil
from typing import Any

from playwright.sync_api import Page, expect, sync_playwright
import pytest

from edge.ledger_view import read_ledger
from tests.support.caller import read
from tests.support.cloud_process import CloudProcess, eventually
from tests.support.fleet_processes import Agent, simulated

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
DIST = Path(__file__).parents[2] / "cloud" / "web" / "dist" / "index.html"

pytestmark = [
    pytest.mark.peer,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt install chromium, or set CHROMIUM to its path"),
    pytest.mark.skipif(not DIST.is_file(), reason="the web app is not built: just web"),
]


@pytest.fixture
def page() -> Iterator[Page]:
    """A fresh page; it fails its test when the app throws."""
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        fresh = browser.new_page(viewport={"width": 1100, "height": 720}, reduced_motion="reduce")
        fresh.set_default_timeout(30_000)
        fresh.on("pageerror", lambda error: errors.append(str(error)))
        yield fresh
        browser.close()
    assert errors == []


def test_a_vehicle_is_seen_and_its_ledger_adds_up(tmp_path: Path, page: Page) -> None:
    cloud = CloudProcess(tmp_path / "cloud", MILEPOST__INGEST__ACK_DELAY_S="0.2").start()
    try:
        with simulated(tmp_path, "-n", "1", "--kinds", "car", "--fault", "dtc=P0420") as (vehicle,):
            agent = Agent(tmp_path / "van", vehicle.name, vehicle.device_toml, cloud.nats_url)
            agent.start()
            try:
                _watch(cloud.url, page, vehicle.name, vehicle.vin)
            finally:
                agent.stop()
            _compare(cloud.url, agent)
    finally:
        cloud.stop()


def _watch(url: str, page: Page, name: str, vin: str) -> None:
    page.goto(url)
    row = page.get_by_role("row").filter(has_text=name)
    expect(row).to_be_visible(timeout=60_000)
    row.get_by_role("link").first.click()
    expect(page.get_by_text(f"VIN {vin}", exact=True)).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Engine speed").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"[\d,]+ ?rpm")).first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("P0420", exact=True).first).to_be_visible(timeout=120_000)
    frozen = page.get_by_text(re.compile(r"\d+ values from the moment it was set")).first
    expect(frozen).to_be_visible(timeout=30_000)
    frozen.click()
    expect(page.locator(".frozen").get_by_text("Engine speed")).to_be_visible()
    page.get_by_role("link", name=re.compile("ledger")).click()
    expect(page.get_by_role("heading", level=2).first).to_have_text(re.compile("every frame is here"), timeout=30_000)


def _compare(url: str, agent: Agent) -> None:
    """The device's own ledger and the cloud's say the same, frame for frame."""
    mine = read_ledger(agent.outbox)
    assert (mine.pending, mine.lost, mine.forked) == (0, 0, 0)
    assert mine.committed > 5

    def cloud_ledger() -> Any:
        found = read(url, f"/devices/{agent.device}/ledger")
        return found if found["totals"]["stored"] == mine.committed else None

    found = eventually(cloud_ledger, "the same frames in the cloud")
    assert found["totals"] == {"stored": mine.committed, "pending": 0, "lost": 0, "quarantined": 0}
    (stream,) = found["streams"]
    assert stream["stream_id"] == mine.streams[0].stream_id
    assert stream["stored"] == [[1, mine.streams[0].last_seq]]
