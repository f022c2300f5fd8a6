"""A round trip on real roads: where a distance along it lies, and how fast it may sensibly be driven there."""

from bisect import bisect_right
from functools import cache
from importlib.resources import files
from itertools import accumulate, pairwise
import math
from typing import Literal, NamedTuple

import msgspec

METRES_PER_DEG = 111_195.0
STEP_M = 5.0  # the grid of the speed profile
COMFORT_ACROSS_MS2 = 2.0  # in curves
COMFORT_BRAKING_MS2 = 1.3
CREEP_KMH = 7.0  # the tightest turn

StopKind = Literal["visit", "lights", "junction"]
_CORNER_KMH = {"visit": 30.0, "lights": 35.0, "junction": 18.0}


class Stop(msgspec.Struct, frozen=True):
    """A place at which the driver may have to wait, `at_m` along the route."""

    at_m: float
    kind: StopKind
    name: str = ""


class RouteFile(msgspec.Struct, frozen=True):
    """A file of `routes/`: points as (lat_deg, lon_deg), the first and the last the same; one limit a segment."""

    name: str
    title: str
    notice: str
    length_m: float
    points: list[tuple[float, float]]
    limits_kmh: list[int]
    stops: list[Stop]


class Place(NamedTuple):
    """A point of the route and the direction of travel, clockwise from north."""

    lat_deg: float
    lon_deg: float
    heading_deg: float
    limit_kmh: int


class Route:
    """A route with its geometry worked out. Distances wrap: one lap after another."""

    def __init__(self, content: RouteFile) -> None:
        self.name = content.name
        self.title = content.title
        self.points = content.points
        self.limits_kmh = content.limits_kmh
        squeeze = math.cos(math.radians(content.points[0][0]))
        steps = [((b[0] - a[0]), (b[1] - a[1]) * squeeze) for a, b in pairwise(content.points)]
        self._starts_m = list(accumulate((math.hypot(*s) * METRES_PER_DEG for s in steps), initial=0.0))
        self._headings_deg = [math.degrees(math.atan2(east, north)) % 360 for north, east in steps]
        self.length_m = self._starts_m[-1]
        scale = self.length_m / content.length_m
        self.stops = [msgspec.structs.replace(s, at_m=s.at_m * scale) for s in content.stops]
        self._profile_ms = self._speed_profile()

    def place(self, distance_m: float) -> Place:
        """Where one is after `distance_m` from the start, exactly on the line."""
        at_m = distance_m % self.length_m
        index = min(bisect_right(self._starts_m, at_m) - 1, len(self._headings_deg) - 1)
        start_m, end_m = self._starts_m[index], self._starts_m[index + 1]
        part = (at_m - start_m) / (end_m - start_m)
        (lat_a, lon_a), (lat_b, lon_b) = self.points[index], self.points[index + 1]
        return Place(
            lat_a + (lat_b - lat_a) * part,
            lon_a + (lon_b - lon_a) * part,
            self._headings_deg[index],
            self.limits_kmh[index],
        )

    def sensible_ms(self, distance_m: float) -> float:
        """Speed that limits, curves and braking distances ahead allow."""
        return self._profile_ms[int(distance_m % self.length_m / STEP_M)]

    def limit_ms(self, distance_m: float) -> float:
        """The legal limit at this place."""
        at_m = distance_m % self.length_m
        index = min(bisect_right(self._starts_m, at_m) - 1, len(self.limits_kmh) - 1)
        return self.limits_kmh[index] / 3.6

    def _speed_profile(self) -> list[float]:
        count = int(self.length_m / STEP_M) + 1
        places = [self.place(i * STEP_M) for i in range(count)]
        profile = []
        for index, place in enumerate(places):
            behind, ahead = places[index - 3], places[(index + 3) % count]
            turned_deg = abs((ahead.heading_deg - behind.heading_deg + 180) % 360 - 180)
            bend = math.radians(turned_deg) / (6 * STEP_M)
            curve_ms = math.sqrt(COMFORT_ACROSS_MS2 / bend) if bend > 1e-4 else math.inf
            # the lowest limit of the cell: one may be slow before a sign, never fast behind it
            limit_kmh = min(place.limit_kmh, places[(index + 1) % count].limit_kmh)
            profile.append(min(limit_kmh / 3.6, max(curve_ms, CREEP_KMH / 3.6)))
        for stop in self.stops:
            cell = int(stop.at_m / STEP_M) % count
            profile[cell] = min(profile[cell], _CORNER_KMH[stop.kind] / 3.6)
        for _ in range(2):  # twice round: braking for the start of the lap begins on the lap before
            for index in range(count - 1, -1, -1):
                after = profile[(index + 1) % count]
                profile[index] = min(profile[index], math.sqrt(after**2 + 2 * COMFORT_BRAKING_MS2 * STEP_M))
        return profile


def route_names() -> tuple[str, ...]:
    """Names of the routes shipped with this version."""
    folder = files("edge.simulator").joinpath("routes")
    return tuple(sorted(entry.name[: -len(".json")] for entry in folder.iterdir() if entry.name.endswith(".json")))


@cache
def load_route(name: str) -> Route:
    """One of `route_names()`. Raises FileNotFoundError for another."""
    content = files("edge.simulator").joinpath("routes", f"{name}.json").read_bytes()
    return Route(msgspec.json.decode(content, type=RouteFile))
