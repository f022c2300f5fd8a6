"""The fleet page: the map draws tiles and moving vehicles; all of it can be had by keyboard and as a list."""

import re

from playwright.sync_api import Page, expect

from tests.support.web_server import WebServer

MAP = "section[aria-label='Live map']"


def open_fleet(page: Page, server: WebServer, query: str = "") -> None:
    page.goto(f"{server.url}/{query}")
    expect(page.get_by_role("row", name=re.compile("Van 01"))).to_be_visible()


def test_map_loads_its_tiles_and_shows_every_vehicle_with_a_position(page: Page, server: WebServer) -> None:
    open_fleet(page, server)
    expect(page.locator(MAP)).to_have_attribute("data-tiles", "loaded", timeout=40_000)
    expect(page.locator(MAP)).to_have_attribute("data-vehicles", "11")
    expect(page.locator(MAP)).to_contain_text("© OpenStreetMap contributors")
    expect(page.get_by_role("row")).to_have_count(13)  # the head, 11 with and 1 without a position


def test_a_chosen_vehicle_moves(page: Page, server: WebServer) -> None:
    open_fleet(page, server, "?v=1")
    card = page.get_by_role("region", name="Chosen vehicle: Van 01")
    place = card.get_by_text("° N")
    first = place.inner_text()
    expect(place).not_to_have_text(first)
    expect(card.get_by_text(re.compile("seen"))).to_contain_text(re.compile("just now|[1-5] s ago"))


def test_choosing_by_keyboard_in_the_list(page: Page, server: WebServer) -> None:
    open_fleet(page, server)
    button = page.get_by_role("button", name="Show Van 01 on the map")
    button.focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name="Show Van 02 on the map")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Chosen vehicle: Van 02")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?v=2$"))
    page.get_by_role("link", name="Open Van 02").press("Enter")
    expect(page.get_by_role("heading", level=1, name="Van 02")).to_be_visible()
    expect(page.locator("main")).to_be_focused()


def test_choosing_by_keyboard_on_the_map(page: Page, server: WebServer) -> None:
    open_fleet(page, server)
    expect(page.locator(MAP)).to_have_attribute("data-vehicles", "11", timeout=40_000)
    canvas = page.locator(f"{MAP} canvas")
    canvas.focus()
    page.keyboard.press("n")
    expect(page.get_by_role("region", name="Chosen vehicle: Van 01")).to_be_visible()
    canvas.press("n")
    expect(page.get_by_role("region", name="Chosen vehicle: Van 02")).to_be_visible()
    canvas.press("p")
    expect(page.get_by_role("region", name="Chosen vehicle: Van 01")).to_be_visible()
    canvas.press("Escape")
    expect(page.get_by_role("region", name=re.compile("Chosen vehicle"))).to_have_count(0)


def test_filter_sort_and_search(page: Page, server: WebServer) -> None:
    open_fleet(page, server)
    page.get_by_role("radio", name=re.compile("^Parked: 2")).click()
    expect(page.get_by_role("row")).to_have_count(3)
    page.get_by_role("radio", name=re.compile("^Parked: 2")).click()
    expect(page.get_by_role("row")).to_have_count(13)
    page.get_by_role("searchbox", name="Search vehicles").fill("van 1")
    expect(page.get_by_role("row", name=re.compile("Van 1[0-2]"))).to_have_count(3)
    page.reload()
    expect(page.get_by_role("searchbox", name="Search vehicles")).to_have_value("van 1")
    page.get_by_role("button", name="Clear the search").click()
    page.get_by_role("button", name="Vehicle", exact=True).click()
    expect(page.get_by_role("columnheader", name="Vehicle")).to_have_attribute("aria-sort", "descending")
    expect(page.get_by_role("row").nth(1)).to_contain_text("Van 12")


def test_the_promise_is_on_the_first_page(page: Page, server: WebServer) -> None:
    open_fleet(page, server)
    frames = server.get("/api/v1/summary")["frames"]
    figures = page.get_by_role("region", name="Delivery of all devices")
    expect(figures).to_contain_text(f"{frames['stored']:,}")
    expect(figures).to_contain_text("Counted twice0")
    figures.get_by_role("link", name="Check it yourself").click()
    expect(page.get_by_role("heading", level=1, name="Check it yourself")).to_be_visible()


def test_comes_back_by_itself_when_the_server_was_away(page: Page, server: WebServer) -> None:
    open_fleet(page, server, "?v=1")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    server.stop()
    try:
        expect(page.get_by_text("No live connection to the server.")).to_be_visible()
        expect(page.get_by_role("row", name=re.compile("Van 01"))).to_be_visible()  # what was known stays
    finally:
        server.start()
    expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_text("No live connection to the server.")).to_have_count(0)
    place = page.get_by_role("region", name="Chosen vehicle: Van 01").get_by_text("° N")
    first = place.inner_text()
    expect(place).not_to_have_text(first)


def test_theme_and_units_are_chosen_and_kept(page: Page, server: WebServer) -> None:
    open_fleet(page, server)
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Display").click()
    page.get_by_role("radio", name="Dark").check(force=True)
    page.get_by_role("radio", name=re.compile("Imperial")).check(force=True)
    page.keyboard.press("Escape")
    expect(page.get_by_role("row", name=re.compile("Van 04"))).to_contain_text("mph")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != light
    page.reload()
    expect(page.get_by_role("row", name=re.compile("Van 04"))).to_contain_text("mph")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
