"""Coming in: a demo by itself, a person with a password or by an invitation; and going out again."""

from collections.abc import Iterator

from playwright.sync_api import Page, Route, expect
import pytest

from tests.support.web_server import WebServer


@pytest.fixture(scope="module")
def company() -> Iterator[WebServer]:
    """A service that is no demo."""
    with WebServer("--people") as running:
        yield running


@pytest.fixture(autouse=True)
def logged_out(request: pytest.FixtureRequest, page: Page) -> None:
    """The fixture server remembers who came in last."""
    if "company" in request.fixturenames:
        company: WebServer = request.getfixturevalue("company")
        page.request.post(f"{company.url}/api/v1/auth/log-out")


def log_in(page: Page) -> None:
    page.get_by_label("E-mail address").fill("mara@fleet.example")
    page.get_by_label("Password").fill("gravel-orbit-lantern")
    page.get_by_label("Password").press("Enter")


def test_a_demo_logs_in_by_itself_and_says_that_it_is_one(server: WebServer, page: Page) -> None:
    page.goto(server.url)
    expect(page.get_by_role("heading", name="Fleet", level=1)).to_be_visible()
    page.get_by_role("button", name="Demo", exact=True).click()
    expect(page.get_by_text("everybody on this machine is the same user")).to_be_visible()
    expect(page.get_by_role("button", name="Log out")).to_have_count(0)


def test_in_by_keyboard_and_out_again(company: WebServer, page: Page) -> None:
    page.goto(f"{company.url}/devices")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    log_in(page)
    expect(page.get_by_role("heading", name="Devices", level=1)).to_be_visible()
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    page.get_by_role("button", name="Mara Lind").click()
    expect(page.get_by_text("manager of north")).to_be_visible()
    page.get_by_role("link", name="Your account").click()
    expect(page.get_by_text("This one")).to_be_visible()
    expect(page.get_by_text("milepost-report")).to_be_visible()
    page.get_by_role("button", name="Mara Lind").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_refusal_is_told_in_the_servers_words(company: WebServer, page: Page) -> None:
    detail = "E-mail address and password do not belong together."
    page.route("**/auth/token", lambda route: route.fulfill(status=401, json={"detail": detail}))
    page.goto(company.url)
    log_in(page)
    expect(page.get_by_role("alert")).to_have_text(detail)
    expect(page.get_by_label("E-mail address")).to_have_value("mara@fleet.example")


def test_a_code_is_asked_for_when_it_is_needed(company: WebServer, page: Page) -> None:
    problem = {"type": "/problems/one-time-code-needed", "detail": "A one-time code is needed too."}

    def answer(route: Route) -> None:
        if "otp=123456" in (route.request.post_data or ""):
            route.continue_()
        else:
            route.fulfill(status=401, json=problem)

    page.route("**/auth/token", answer)
    page.goto(company.url)
    expect(page.get_by_label("Code of your authenticator app")).to_have_count(0)
    log_in(page)
    expect(page.get_by_label("Code of your authenticator app")).to_be_focused()
    page.keyboard.type("123456")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Fleet", level=1)).to_be_visible()


def test_a_forgotten_password(company: WebServer, page: Page) -> None:
    page.goto(company.url)
    page.get_by_role("button", name="Password forgotten?").click()
    page.get_by_label("E-mail address").fill("mara@fleet.example")
    page.get_by_role("button", name="Send me a link").click()
    expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    page.goto(f"{company.url}/reset#a-secret-token")
    page.get_by_label("A password").fill("another-orbit-lantern")
    page.get_by_role("button", name="Set it").click()
    expect(page.get_by_role("status")).to_contain_text("logged out everywhere")
    page.get_by_role("link", name="Log in").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_in_by_invitation(company: WebServer, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{company.url}/invitation#a-secret-token")
    expect(page.get_by_role("heading", name="Join north")).to_be_visible()
    page.get_by_label("Your name").fill("Mara Lind")
    page.get_by_label("A password").fill("gravel-orbit-lantern")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("heading", name="Fleet", level=1)).to_be_visible()
    assert not any("secret-token" in url.partition("#")[0] for url in asked)


def test_a_link_that_is_not_good(server: WebServer, page: Page) -> None:
    page.goto(f"{server.url}/invitation#old")
    expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_page_fits(company: WebServer, page: Page, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    for address in ("/", "/invitation#token", "/reset#token"):
        page.context.clear_cookies()
        page.goto(company.url + address)
        expect(page.get_by_role("button").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
