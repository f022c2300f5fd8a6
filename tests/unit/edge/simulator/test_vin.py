"""VINs carry a right check digit and only letters a VIN may have."""

import random
import re

import pytest

from edge.simulator.kinds import KINDS
from edge.simulator.vin import check_digit, make_vin


@pytest.mark.parametrize("vin", ["1M8GDM9AXKP042788", "1HGBH41JXMN109186", "11111111111111111"])
def test_check_digit_of_published_vins(vin: str) -> None:
    assert check_digit(vin) == vin[8]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_every_made_vin_is_valid(kind) -> None:
    rng = random.Random(7)
    for year in range(kind.years[0], kind.years[1] + 1):
        vin = make_vin(kind.vin_maker, kind.vin_model, year, rng)
        assert re.fullmatch(r"[A-HJ-NPR-Z0-9]{17}", vin)
        assert vin[8] == check_digit(vin)


def test_model_year_is_at_position_ten() -> None:
    assert make_vin("WF0", "XXXTT", 2019, random.Random(1))[9] == "K"
