"""The person at the wheel: follows limits and curves, waits, idles, parks with the ignition off, drives on."""

import math
import random
from typing import Literal, NamedTuple

from edge.simulator.route import Route, Stop

Phase = Literal["parked", "key_on", "cranking", "settling", "driving", "holding"]
KEY_ON_S = 1.6
CRANK_S = 0.8
STOP_SHORT_M = 1.0


class Demand(NamedTuple):
    """What the driver does now; `acceleration_ms2` is what is wanted, pedals follow from it."""

    acceleration_ms2: float
    has_ignition: bool
    is_cranking: bool
    wants_engine: bool


class Driver:
    """Decides from the seed alone; the same seed gives the same trip. Distances are absolute, over all laps."""

    def __init__(self, route: Route, rng: random.Random, start_m: float) -> None:
        self._route = route
        self._rng = rng
        self._haste = rng.uniform(0.93, 1.03)  # part of the sensible speed
        self._push_ms2 = rng.uniform(1.2, 2.2)
        self._brake_ms2 = rng.uniform(1.6, 2.4)
        self._traffic = 1.0  # part of the own speed that the traffic ahead allows
        self.phase: Phase = "key_on"
        self._left_s = KEY_ON_S
        self._hold_s = 0.0
        self._parks = False
        self.is_held = False  # told to stay parked
        self._lap, self._index = divmod(self._stops_before(start_m), len(route.stops))
        self._decide()

    def step(self, dt_s: float, speed_ms: float, distance_m: float) -> Demand:
        """One step of `dt_s`; speed and distance as they are now."""
        if self.phase == "driving":
            return self._drive(dt_s, speed_ms, distance_m)
        self._left_s -= dt_s
        if self._left_s <= 0 and not (self.is_held and self.phase == "parked"):
            self._next_phase()
        return Demand(
            -self._brake_ms2,
            has_ignition=self.phase != "parked",
            is_cranking=self.phase == "cranking",
            wants_engine=self.phase in ("settling", "driving", "holding"),
        )

    def park(self) -> None:
        """Stop where one is as soon as it is safe, and stay with the ignition off until `resume`."""
        self.is_held = True

    def resume(self) -> None:
        """Drive on after `park`."""
        self.is_held = False
        if self.phase == "parked":
            self._left_s = 0.0

    def _drive(self, dt_s: float, speed_ms: float, distance_m: float) -> Demand:
        rng = self._rng
        self._traffic += (0.96 - self._traffic) * dt_s / 25 + rng.gauss(0, 0.035) * math.sqrt(dt_s)
        self._traffic = min(1.0, max(0.6, self._traffic))
        target_ms = self._route.sensible_ms(distance_m + speed_ms * 0.6) * self._haste * self._traffic
        if self.is_held:
            target_ms = 0.0
            if speed_ms < 0.1:
                self.phase, self._left_s = "parked", math.inf
        gap_m = self._stop_m() - distance_m
        if self._hold_s > 0:
            target_ms = min(target_ms, math.sqrt(2 * self._brake_ms2 * 0.8 * max(gap_m - STOP_SHORT_M, 0.0)))
            if gap_m < STOP_SHORT_M + 1.5 and speed_ms < 0.35:
                self.phase, self._left_s = "holding", self._hold_s
        elif gap_m < 0:
            self._pass_stop()
        wanted = (target_ms - speed_ms) / 1.3 + rng.gauss(0, 0.05)
        easing = self._push_ms2 * max(0.35, 1 - speed_ms / 45)
        return Demand(max(-self._brake_ms2 * 1.4, min(easing, wanted)), True, False, True)

    def _next_phase(self) -> None:
        rng = self._rng
        if self.phase == "holding" and self._parks:
            self.phase, self._left_s = "parked", rng.uniform(90, 420)
            self._parks = False
        elif self.phase == "holding":
            self._pass_stop()
            self.phase = "driving"
        elif self.phase == "parked":
            if self._hold_s > 0:
                self._pass_stop()
            self.phase, self._left_s = "key_on", KEY_ON_S
        elif self.phase == "key_on":
            self.phase, self._left_s = "cranking", CRANK_S
        elif self.phase == "cranking":
            self.phase, self._left_s = "settling", rng.uniform(3, 10)
        else:
            self.phase = "driving"

    def _stops_before(self, distance_m: float) -> int:
        """How many stops, over all laps, lie at or before a distance."""
        laps, at_m = divmod(distance_m, self._route.length_m)
        return int(laps) * len(self._route.stops) + sum(s.at_m <= at_m for s in self._route.stops)

    def _stop(self) -> Stop:
        return self._route.stops[self._index]

    def _stop_m(self) -> float:
        return self._lap * self._route.length_m + self._stop().at_m

    def _pass_stop(self) -> None:
        self._index += 1
        if self._index == len(self._route.stops):
            self._index, self._lap = 0, self._lap + 1
        self._decide()

    def _decide(self) -> None:
        """Whether and how long to wait at the next stop."""
        rng, kind = self._rng, self._stop().kind
        draw = rng.random()
        self._parks = kind == "visit" and draw < 0.4
        if kind == "visit":
            self._hold_s = rng.uniform(2, 8) if self._parks else rng.uniform(20, 90) if draw < 0.65 else 0.0
        elif kind == "lights":
            self._hold_s = rng.uniform(8, 40) if draw < 0.5 else 0.0
        else:
            self._hold_s = rng.uniform(1.5, 9) if draw < 0.35 else 0.0
