"""Every page for everyone: axe's A to AAA rules in light and dark, no sideways scroll at 360 px, targets of 44 px."""

import re
from typing import Literal

from playwright.sync_api import Browser, Page, expect
import pytest

from tests.support.accessible import AXE, SMALL_TARGETS, violations
from tests.support.web_server import WebServer

PAGES = {
    "fleet": ("/?v=3", "Van 03"),
    "vehicle": ("/vehicles/3", "P0301"),
    "ledger": ("/devices/mp-0005", "history has split"),
    "devices": ("/devices", "mp-0012"),
    "signals": ("/signals", "engine_rpm"),
    "check": ("/check", "milepost sync"),
    "not found": ("/nowhere", "not here"),
}


def open_page(page: Page, server: WebServer, name: str) -> None:
    path, text = PAGES[name]
    page.goto(server.url + path)
    expect(page.get_by_text(re.compile(text)).first).to_be_attached()
    if name in ("fleet", "vehicle"):
        expect(page.locator("[data-tiles]")).to_have_attribute("data-tiles", "loaded", timeout=40_000)
    if name == "vehicle":
        expect(page.locator(".pane canvas")).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(chromium: Browser, server: WebServer, name: str, scheme: Literal["light", "dark"]) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: python scripts/web.py test installs it")
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 1100, "height": 720})
    try:
        page = context.new_page()
        open_page(page, server, name)
        assert violations(page) == []
    finally:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_scrolls_down_only_and_targets_are_large(chromium: Browser, server: WebServer, name: str) -> None:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, reduced_motion="reduce")
    try:
        page = context.new_page()
        open_page(page, server, name)
        page.wait_for_function("document.documentElement.scrollWidth === 360", timeout=5_000)
        page.set_viewport_size({"width": 320, "height": 640})  # WCAG 1.4.10, reflow
        # Media queries follow a new size with the next drawn frame, which may be a while in software.
        page.wait_for_function("document.documentElement.scrollWidth === 320", timeout=5_000)
        assert page.evaluate(SMALL_TARGETS) == []
    finally:
        context.close()


def test_the_skip_link_leads_to_the_content(page: Page, server: WebServer) -> None:
    page.goto(f"{server.url}/devices")
    expect(page.get_by_role("row")).to_have_count(13)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Let devices in")).to_be_focused()


def test_no_motion_for_those_who_asked_for_none(page: Page, server: WebServer) -> None:
    page.goto(server.url)
    expect(page.get_by_role("row", name=re.compile("Van 01"))).to_be_visible()
    moving = """() => document.getAnimations().filter((each) => each.playState === 'running')
      .map((each) => `${each.constructor.name} on ${each.effect.target.outerHTML.slice(0, 90)}`)"""
    assert page.evaluate(moving) == []


def test_forced_colours_keep_the_states_apart_by_words(chromium: Browser, server: WebServer) -> None:
    context = chromium.new_context(forced_colors="active")
    try:
        page = context.new_page()
        open_page(page, server, "devices")
        expect(page.get_by_text("forked")).to_be_visible()
    finally:
        context.close()
