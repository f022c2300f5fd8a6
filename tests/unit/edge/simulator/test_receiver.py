"""The receiver is off by metres, not more, has nothing to say when cold, and is the same for the same seed."""

import itertools
import math

from edge.simulator.receiver import Receiver
from edge.simulator.route import METRES_PER_DEG, Place

PLACE = Place(47.14, 9.52, 90.0, 50)


def test_errors_are_those_of_a_good_receiver() -> None:
    receiver = Receiver("1", 0)
    fixes = [receiver.fix(PLACE, 14.0) for _ in range(2000)]
    squeeze = math.cos(math.radians(PLACE.lat_deg))
    errors_m = sorted(
        METRES_PER_DEG * math.hypot(f.lat_deg - PLACE.lat_deg, (f.lon_deg - PLACE.lon_deg) * squeeze) for f in fixes
    )
    assert 1 < errors_m[1000] < 4
    assert errors_m[1900] < fixes[0].error_m * 1.3
    steps_m = [METRES_PER_DEG * abs(b.lat_deg - a.lat_deg) for a, b in itertools.pairwise(fixes)]
    assert max(steps_m) < 3  # the error wanders, it does not jump
    assert all(f.mode == 3 and abs(f.heading_deg - 90) < 2 and abs(f.speed_ms - 14) < 0.5 for f in fixes)


def test_cold_start_and_covered_sky_have_no_fix() -> None:
    receiver = Receiver("1", 3)
    assert [receiver.fix(PLACE, 0.0).mode for _ in range(5)] == [1, 1, 1, 3, 3]
    receiver.is_covered = True
    assert receiver.fix(PLACE, 0.0).mode == 1
    receiver.is_covered = False
    receiver.restart(1)
    assert [receiver.fix(PLACE, 0.0).mode for _ in range(2)] == [1, 3]


def test_course_is_kept_at_rest() -> None:
    receiver = Receiver("1", 0)
    moving = receiver.fix(PLACE, 10.0)
    assert receiver.fix(PLACE._replace(heading_deg=200), 0.1).heading_deg == moving.heading_deg


def test_the_seed_decides() -> None:
    one, same, other = (Receiver(seed, 0).fix(PLACE, 1.0) for seed in ("a", "a", "b"))
    assert one == same != other
