"""The ledger, the devices, the signals, and what is not there."""

import re

from playwright.sync_api import Page, Route, expect

from sync_protocol.signals import catalogue
from tests.support.web_server import WebServer


def test_a_ledger_with_losses_says_how_many_and_why(page: Page, server: WebServer) -> None:
    page.goto(f"{server.url}/devices/mp-0003")
    expect(page.get_by_role("heading", name="3 frames lost, and we know why")).to_be_visible()
    strip = page.get_by_role("img", name=re.compile("4,399 stored, 1 on the way, 3 lost"))
    expect(strip).to_be_visible()
    page.get_by_text("4 ranges").click()
    row = page.get_by_role("row", name=re.compile("2,001 – 2,003"))
    expect(row).to_contain_text("power was cut while the frame was open")
    silences = page.get_by_role("table", name="Silences, newest first")
    expect(silences).to_contain_text("The device recorded on and sent it later.")
    page.get_by_role("link", name="how to check it yourself").click()
    expect(page.get_by_text("milepost sync")).to_be_visible()


def test_a_fork_is_loud(page: Page, server: WebServer) -> None:
    page.goto(f"{server.url}/devices/mp-0005")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This device’s history has split.")
    expect(alert).to_contain_text("numbers 1,500, 1,501")


def test_devices_are_listed_and_searched(page: Page, server: WebServer) -> None:
    page.goto(f"{server.url}/devices")
    expect(page.get_by_role("row")).to_have_count(13)
    page.get_by_role("button", name="Lost", exact=True).click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("mp-0003")
    page.get_by_role("searchbox").fill("van 05")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row", name=re.compile("mp-0005"))).to_contain_text("forked")


def test_the_catalogue_is_searched_by_pid(page: Page, server: WebServer) -> None:
    page.goto(f"{server.url}/signals")
    expect(page.get_by_text(f"{len(catalogue().signals)} signals listed.")).to_be_visible()
    page.get_by_role("searchbox").fill("coolant")
    expect(page.get_by_role("row", name=re.compile("Engine coolant temperature"))).to_contain_text(
        "Vehicle.OBD.CoolantTemperature"
    )


def test_what_is_not_there_is_said_so(page: Page, server: WebServer) -> None:
    for path, title in (
        ("/nowhere", "This page is not here"),
        ("/vehicles/999", "This vehicle is not here"),
        ("/vehicles/van", "This vehicle is not here"),
        ("/devices/mp-9999", "This device is not here"),
    ):
        page.goto(server.url + path)
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def test_a_refusal_is_shown_with_a_way_to_try_again(page: Page, server: WebServer) -> None:
    is_broken = [True]

    def answer(route: Route) -> None:
        if is_broken[0]:
            problem = '{"type":"about:blank","title":"Busy","status":503,"detail":"The store is starting."}'
            route.fulfill(status=503, content_type="application/problem+json", body=problem)
        else:
            route.continue_()

    page.route("**/api/v1/devices", answer)
    page.goto(f"{server.url}/devices")
    expect(page.get_by_role("alert")).to_contain_text("The devices could not be read. The store is starting.")
    is_broken[0] = False
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("row")).to_have_count(13)


def test_an_empty_fleet_says_what_to_do(page: Page, server: WebServer) -> None:
    page.route(
        "**/api/v1/vehicles?*",
        lambda route: route.fulfill(content_type="application/json", body='{"items":[],"next_cursor":null}'),
    )
    page.goto(server.url)
    expect(page.get_by_text("No vehicle yet.")).to_contain_text("milepost run")


def test_a_vehicle_that_registers_later_appears_by_itself(page: Page, server: WebServer) -> None:
    answers: list[str] = []

    def first_none(route: Route) -> None:
        if answers:
            route.continue_()
        else:
            answers.append("none")
            route.fulfill(content_type="application/json", body='{"items":[],"next_cursor":null}')

    page.route("**/api/v1/vehicles?*", first_none)
    page.goto(server.url)
    expect(page.get_by_role("row", name=re.compile("Van 01"))).to_be_visible(timeout=15_000)
    assert answers == ["none"]
