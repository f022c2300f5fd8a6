"""The vehicle page: values with their age, charts that zoom by keyboard and by hand, codes, events, the lease."""

import re

from playwright.sync_api import Page, expect
import pytest

from tests.support.web_server import WebServer


@pytest.fixture
def vehicle(page: Page, server: WebServer) -> Page:
    page.goto(f"{server.url}/vehicles/3?range=1h")
    expect(page.get_by_role("heading", level=1, name="Van 03")).to_be_visible()
    expect(page.locator(".pane canvas")).to_have_count(3)
    return page


def test_values_show_their_age_and_stale_ones_say_so(vehicle: Page) -> None:
    values = vehicle.get_by_role("list", name=re.compile("Current values"))
    expect(values.get_by_role("listitem").filter(has_text="Engine speed")).to_contain_text(re.compile(r"rpm.*ago|now"))
    expect(values.get_by_role("listitem").filter(has_text="Ambient air")).to_contain_text("stale")


def test_codes_and_events_and_the_way_to_the_ledger(vehicle: Page) -> None:
    codes = vehicle.get_by_role("region", name="Trouble codes")
    expect(codes).to_contain_text("P0301")
    expect(codes).to_contain_text("Cylinder 1 misfire detected")
    expect(vehicle.get_by_role("region", name="Events")).to_contain_text("Connected to the engine computer")
    vehicle.get_by_role("link", name="mp-0003, delivery ledger").click()
    expect(vehicle.get_by_role("heading", level=1, name="mp-0003")).to_be_visible()


def test_charts_have_words_a_table_and_visible_gaps(vehicle: Page) -> None:
    words = vehicle.locator(".pane figcaption").first
    expect(words).to_contain_text(re.compile(r"Lowest \d+, mean \d+, highest \d+.*kilometres per hour"))
    expect(words).to_contain_text("1 gap, the longest 6 min")
    vehicle.get_by_role("button", name="Data table").click()
    table = vehicle.get_by_role("table", name="Values of the charts")
    expect(table.get_by_role("columnheader")).to_have_count(4)
    expect(table.get_by_role("row")).to_have_count(101)


def test_the_range_is_chosen_zoomed_and_kept_in_the_address(vehicle: Page) -> None:
    vehicle.get_by_role("radiogroup", name="Range").get_by_role("radio", name="Last 24 hours").click()
    expect(vehicle).to_have_url(re.compile("range=24h"))
    expect(vehicle.locator(".pane figcaption").first).to_contain_text("minutes from")
    charts = vehicle.get_by_role("group", name=re.compile("Arrow keys move the cursor"))
    charts.focus()
    vehicle.keyboard.press("ArrowLeft")
    value = vehicle.locator(".pane-value").first
    first = value.inner_text()
    vehicle.keyboard.press("Shift+ArrowLeft")
    expect(value).not_to_have_text(first)
    vehicle.keyboard.press("+")
    expect(vehicle).to_have_url(re.compile(r"from=\d+&to=\d+"))
    before = vehicle.url
    vehicle.go_back()
    expect(vehicle).to_have_url(re.compile("range=24h"))
    vehicle.go_forward()
    expect(vehicle).to_have_url(before)


def test_dragging_across_a_chart_zooms(vehicle: Page) -> None:
    vehicle.locator(".pane-plot").first.scroll_into_view_if_needed()
    box = vehicle.locator(".pane .u-over").first.bounding_box()
    assert box is not None
    vehicle.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 40)
    vehicle.mouse.down()
    vehicle.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 40, steps=5)
    vehicle.mouse.up()
    expect(vehicle).to_have_url(re.compile(r"from=\d+&to=\d+"))
    found = re.search(r"from=(\d+)&to=(\d+)", vehicle.url)
    assert found is not None
    assert 600_000 < int(found[2]) - int(found[1]) < 840_000  # a fifth of an hour


def test_any_signal_can_be_added_by_keyboard_and_removed(vehicle: Page) -> None:
    box = vehicle.get_by_role("combobox", name="Add a signal")
    box.press_sequentially("throttle abs")
    expect(vehicle.get_by_role("option")).to_have_count(3)
    box.press("ArrowDown")
    expect(vehicle.get_by_role("option").first).to_have_attribute("data-focused", "true")
    box.press("Enter")
    expect(vehicle.get_by_role("heading", name="Absolute throttle position", exact=True)).to_be_visible()
    expect(vehicle).to_have_url(re.compile("throttle_pct"))
    vehicle.get_by_role("button", name="Remove Engine speed").click()
    expect(vehicle.get_by_role("heading", name="Engine speed")).to_have_count(0)


def test_a_custom_range(vehicle: Page) -> None:
    vehicle.get_by_role("button", name="Custom").click()
    dialog = vehicle.get_by_role("dialog")
    dialog.get_by_label("From").fill("2026-01-02T10:00")
    dialog.get_by_label("To").fill("2026-01-02T09:00")
    expect(dialog.get_by_text("The end must be later than the start.")).to_be_visible()
    dialog.get_by_label("To").fill("2026-01-05T10:00")
    dialog.get_by_role("button", name="Show this range").click()
    expect(vehicle).to_have_url(re.compile(r"from=\d+&to=\d+"))


def test_the_page_asks_for_a_watch_lease(vehicle: Page, server: WebServer) -> None:
    assert server.get("/api/v1/fixture/watches")["3"] >= 1


def test_the_track_is_drawn_on_its_own_map(vehicle: Page) -> None:
    area = vehicle.get_by_role("region", name="Map of the track")
    expect(area).to_have_attribute("data-tiles", "loaded", timeout=40_000)
    expect(vehicle.get_by_role("region", name="Track", exact=True)).to_contain_text(re.compile(r"\d+\.\d\skm driven"))
