"""The routes shipped are closed, continuous, of a drivable length, and their speed profile can be driven."""

from importlib.resources import files
from itertools import pairwise
import json
import math

import pytest

from edge.simulator.route import METRES_PER_DEG, STEP_M, load_route, route_names

ROUTES = route_names()


def content(name: str) -> dict:
    return json.loads(files("edge.simulator").joinpath("routes", f"{name}.json").read_text(encoding="utf-8"))


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    return METRES_PER_DEG * math.hypot(b[0] - a[0], (b[1] - a[1]) * math.cos(math.radians(a[0])))


def test_there_are_four_to_six_routes_with_notices() -> None:
    assert 4 <= len(ROUTES) <= 6
    assert "Open Database License" in files("edge.simulator").joinpath("routes", "LICENSE.md").read_text("utf-8")
    assert all("OpenStreetMap contributors" in content(name)["notice"] for name in ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_route_is_closed_and_continuous(name: str) -> None:
    points = content(name)["points"]
    assert points[0] == points[-1]
    assert all(0 < distance_m(a, b) < 800 for a, b in pairwise(points))
    assert 10_000 < load_route(name).length_m < 30_500


@pytest.mark.parametrize("name", ROUTES)
def test_place_lies_on_the_line_and_moves_steadily(name: str) -> None:
    route = load_route(name)
    places = [route.place(metre) for metre in range(0, int(route.length_m), 10)]
    steps = [distance_m(a[:2], b[:2]) for a, b in pairwise(places)]
    assert max(steps) < 10.1
    assert sum(step > 9.5 for step in steps) > 0.9 * len(steps)  # corners cut a chord


@pytest.mark.parametrize("name", ROUTES)
def test_profile_keeps_limits_and_can_be_braked(name: str) -> None:
    route = load_route(name)
    for metre in range(0, int(route.length_m) - 5, 5):
        here_ms, ahead_ms = route.sensible_ms(metre), route.sensible_ms(metre + STEP_M)
        assert 1.5 < here_ms <= route.limit_ms(metre) + 1e-6
        assert here_ms**2 - ahead_ms**2 <= 2 * 1.4 * STEP_M


def test_distances_wrap_into_the_next_lap() -> None:
    route = load_route(ROUTES[0])
    ahead, again = route.place(123.0), route.place(123.0 + 2 * route.length_m)
    assert (ahead.lat_deg, ahead.lon_deg) == pytest.approx((again.lat_deg, again.lon_deg), abs=1e-9)


def test_unknown_route_is_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        load_route("nowhere")
