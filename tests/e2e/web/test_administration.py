"""The administration area over the real service, with TLS: people, claim codes, devices, keys, the audit log."""

from base64 import b32decode
from collections.abc import Iterator
import csv
from pathlib import Path
import re
import time

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, expect
import pytest

from cloud.identity import totp
from tests.support.accessible import AXE, SMALL_TARGETS, violations
from tests.support.agent_process import AgentProcess
from tests.support.deployment import OWNER, PASSWORD, Deployment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PAGES = {
    "/admin/people": "Invite somebody",
    "/admin/claims": "Let devices in",
    "/admin/keys": "Make a key",
    "/admin/audit": "Show older entries|Log in",
    "/account": "Second factor",
}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Two companies, each with an owner; `second` is for tests that change how its owner logs in."""
    made = Deployment(tmp_path_factory.mktemp("cloud"), "acme", "second")
    made.process.start()
    yield made
    assert made.process.stop() == 0


def fresh_context(chromium: Browser, **settings: object) -> BrowserContext:
    """A profile of its own, which does not know the deployment's authority and goes on all the same."""
    context = chromium.new_context(
        ignore_https_errors=True,
        reduced_motion="reduce",
        **{"viewport": {"width": 1100, "height": 800}, **settings},  # type: ignore[arg-type]  # Playwright's own names
    )
    context.set_default_timeout(20_000)
    return context


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    fresh = fresh_context(chromium)
    yield fresh
    fresh.close()


def log_in(page: Page, deployment: Deployment, path: str, email: str = OWNER) -> None:
    page.goto(deployment.process.url + path)
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_role("heading", name="Log in")).to_have_count(0)


def invited(page: Page, email: str, role: str) -> str:
    """Invite somebody on the page of people; returns the link, which is shown this once."""
    form = page.get_by_role("form", name="Invite somebody")
    form.get_by_label("E-mail address").fill(email)
    form.get_by_label("Role").select_option(role)
    form.get_by_role("button", name="Invite").click()
    made = page.get_by_role("region", name=f"An invitation for {email}")
    link = made.locator("code").inner_text()
    made.get_by_role("button", name="Done").click()
    return link


def test_invited_as_a_driver_then_given_more_then_removed(
    deployment: Deployment, page: Page, chromium: Browser
) -> None:
    log_in(page, deployment, "/")
    page.get_by_role("link", name="Admin").click()
    expect(page.get_by_role("heading", name="People", level=1)).to_be_visible()
    link = invited(page, "dora@acme.example", "driver")
    expect(page.get_by_role("table", name="Open invitations")).to_contain_text("dora@acme.example")
    home = link.partition("/invitation")[0]

    other = fresh_context(chromium)
    try:
        hers = other.new_page()
        hers.goto(link)
        hers.get_by_label("Your name").fill("Dora Quell")
        hers.get_by_label("A password").fill("copper-meadow-signal")
        hers.get_by_role("button", name="Join").click()
        expect(hers.get_by_role("heading", name="Welcome, Dora Quell")).to_be_visible()
        navigation = hers.get_by_role("navigation", name="Main")
        expect(navigation.get_by_role("link", name="Signals")).to_be_visible()
        expect(navigation.get_by_role("link")).to_have_count(1)  # a driver sees no fleet and no administration
        for path in ("/admin", "/admin/people", "/admin/audit"):
            hers.goto(home + path)
            expect(hers.get_by_role("heading", name="Not for your role")).to_be_visible()

        page.reload()
        row = page.get_by_role("row", name=re.compile("Dora Quell"))
        row.get_by_label("Role of Dora Quell").select_option("dispatcher")
        row.get_by_role("button", name="Save").click()
        expect(row.get_by_role("status")).to_have_text("Saved.")
        hers.goto(home)
        expect(hers.get_by_role("heading", name="Fleet", level=1)).to_be_visible()
        expect(navigation.get_by_role("link", name="Admin")).to_have_count(0)

        page.get_by_role("button", name="Remove Dora Quell").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Remove").click()
        expect(page.get_by_role("row", name=re.compile("Dora Quell"))).to_have_count(0)
        hers.reload()
        expect(hers.get_by_role("heading", name="Log in")).to_be_visible()
    finally:
        other.close()


def test_a_refusal_stays_on_the_page(deployment: Deployment, page: Page) -> None:
    log_in(page, deployment, "/admin/people")
    form = page.get_by_role("form", name="Invite somebody")
    form.get_by_label("E-mail address").fill(OWNER)
    form.get_by_role("button", name="Invite").click()
    expect(page.get_by_role("alert")).to_contain_text("Nobody was invited.")
    expect(form.get_by_label("E-mail address")).to_have_value(OWNER)


def test_a_device_comes_in_by_a_code_and_is_locked_out_and_removed(
    deployment: Deployment, page: Page, tmp_path: Path
) -> None:
    log_in(page, deployment, "/devices")
    page.get_by_role("link", name="Let devices in").click()
    form = page.get_by_role("form", name="Make claim codes")
    form.get_by_label("How many").fill("3")
    form.get_by_role("button").click()
    sheet = page.get_by_role("region", name="3 new claim codes")
    expect(sheet.get_by_role("img", name=re.compile("QR code of"))).to_have_count(3)
    with page.expect_download() as downloading:
        sheet.get_by_role("button", name="Save as CSV").click()
    with Path(downloading.value.path()).open(encoding="utf-8", newline="") as file:
        claims = list(csv.DictReader(file))
    assert [claim["code"] for claim in claims] == sheet.locator("li code").all_inner_texts()

    with AgentProcess(None, tmp_path / "none") as agent:
        enrolled = agent.command("enroll", claims[0]["payload"], "--name", "Van 01")
        assert enrolled.code == 0, enrolled.err
    codes = page.get_by_role("table", name="Claim codes")
    codes.get_by_role("link", name="van-01").click(timeout=30_000)
    expect(page.get_by_role("heading", name="van-01", level=1)).to_be_visible()
    panel = page.get_by_role("region", name="Identity and place")
    expect(panel.get_by_role("row")).to_have_count(2)

    move = panel.get_by_role("form", name="Move the device")
    move.get_by_label("Vehicle from now on").select_option("none")
    move.get_by_role("button").click()
    expect(panel.get_by_role("link", name="Replace it")).to_have_count(0)

    panel.get_by_role("button", name="Lock it out").click()
    dialog = page.get_by_role("alertdialog", name="Lock van-01 out?")
    expect(dialog.get_by_role("button", name="Leave it")).to_be_focused()
    dialog.get_by_role("button", name="Lock it out").click()
    expect(panel.get_by_text("locked out")).to_be_visible()
    panel.get_by_role("button", name="Remove it").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Remove it").click()
    expect(page.get_by_text("No device has said hello yet.")).to_be_visible()

    page.get_by_role("link", name="Let devices in").click()
    page.get_by_role("button", name=re.compile("Cancel the code")).first.click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name=re.compile("Cancel the code"))).to_have_count(1)


def test_a_key_for_a_machine(deployment: Deployment, page: Page) -> None:
    log_in(page, deployment, "/admin/keys")
    form = page.get_by_role("form", name="Make an API key")
    form.get_by_label("Name").fill("night report")
    form.get_by_text("See vehicles and what they do now").click()
    form.get_by_role("button").click()
    token = page.get_by_role("region", name="The key night report").locator("code").last.inner_text()
    with httpx.Client(base_url=deployment.process.url, verify=deployment.tls(), timeout=20) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        assert client.get("/api/v1/vehicles").status_code == 200
        assert client.get("/api/v1/devices").status_code == 403
        page.get_by_role("button", name="End the key night report").click()
        page.get_by_role("alertdialog").get_by_role("button", name="End").click()
        expect(page.get_by_text("There is no key that is good.")).to_be_visible()
        assert client.get("/api/v1/vehicles").status_code == 401


def test_the_audit_log_is_searched_checked_and_exported(deployment: Deployment, page: Page) -> None:
    log_in(page, deployment, "/admin/people")
    invited(page, "ned@acme.example", "auditor")
    page.get_by_role("link", name="Audit log").click()
    log = page.get_by_role("table", name="Entries, the newest first")
    log.get_by_role("button", name="Invite", exact=True).first.click()
    expect(page).to_have_url(re.compile("operation=invite"))
    expect(page.get_by_label("Did what")).to_have_value("invite")
    row = log.get_by_role("row").nth(1)
    expect(row).to_contain_text("Owner")
    row.get_by_text("Details").click()
    expect(row).to_contain_text("auditor")
    page.get_by_role("button", name="Check that it is whole").click()
    expect(page.get_by_text(re.compile(r"Whole: \d+ entries"))).to_be_visible()
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Export all of it").click()
    lines = Path(downloading.value.path()).read_text(encoding="utf-8").splitlines()
    assert sum('"operation":"invite"' in line for line in lines) >= 1


def test_a_second_factor_is_set_up_and_asked_for(deployment: Deployment, page: Page) -> None:
    owner = OWNER.replace("acme", "second")
    log_in(page, deployment, "/account", owner)
    page.get_by_role("button", name="Set it up").click()
    expect(page.get_by_role("img", name="QR code for an authenticator app")).to_be_visible()
    typed = page.locator(".factor-secret").inner_text()
    secret = b32decode(typed + "=" * (-len(typed) % 8))
    page.get_by_label("The code that the app shows").fill("000000")
    page.get_by_role("button", name="Switch it on").click()
    expect(page.get_by_role("alert")).to_contain_text("It is still off.")
    page.get_by_label("The code that the app shows").fill(totp.code(secret, int(time.time() // totp.STEP_S)))
    page.get_by_role("button", name="Switch it on").click()
    recovery = page.get_by_role("region", name="Your recovery codes").locator("li").first.inner_text()
    page.get_by_role("button", name="I have them").click()
    expect(page.get_by_text("Logging in needs a code")).to_be_visible()

    page.get_by_role("button", name="Owner").click()
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("E-mail address").fill(owner)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    page.get_by_label("Code of your authenticator app").fill(recovery)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_for_everyone(deployment: Deployment, chromium: Browser, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: python scripts/web.py test installs it")
    # The service's policy forbids the eval by which axe comes in; that the app runs under it the other tests show.
    context = fresh_context(chromium, color_scheme=scheme, bypass_csp=True)
    try:
        page = context.new_page()
        log_in(page, deployment, "/admin/people")
        for path, text in PAGES.items():
            page.set_viewport_size({"width": 1100, "height": 800})
            page.goto(deployment.process.url + path)
            expect(page.get_by_text(re.compile(text)).first).to_be_visible()
            assert violations(page) == [], path
            for width in (1440, 768, 360, 320):
                page.set_viewport_size({"width": width, "height": 800})
                page.wait_for_function(f"document.documentElement.scrollWidth === {width}", timeout=5_000)
            assert page.evaluate(SMALL_TARGETS) == [], path
    finally:
        context.close()
