"""Faults are asked for in one form, and wrong requests are told what is possible."""

import pytest

from edge.simulator.faults import FaultRequest, parse_fault
from edge.simulator.troubles import Troubles
from sync_protocol.errors import Invalid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("misfire", FaultRequest("misfire")),
        ("van-02:thermostat", FaultRequest("thermostat", "van-02")),
        ("alternator@300", FaultRequest("alternator", None, 300)),
        ("car-01:dtc=P0420@5", FaultRequest("dtc=P0420", "car-01", 5)),
        ("o2", FaultRequest("o2")),
    ],
)
def test_parse(text: str, expected: FaultRequest) -> None:
    assert parse_fault(text) == expected


@pytest.mark.parametrize(
    "text", ["", "flat_tyre", "tyre", "dtc", "dtc=P9999", "misfire=P0301", "van-01:", "misfire@soon"]
)
def test_refuses(text: str) -> None:
    with pytest.raises(Invalid, match="expected"):
        parse_fault(text)


def test_an_effect_that_does_not_show_is_not_counted() -> None:
    troubles = Troubles()
    for _ in range(100):
        assert troubles.run(1.0, 10.0, {"misfire": False}) is None
    assert troubles.pending == []
    assert [troubles.run(10.0, 0.0, {"misfire": True}) for _ in range(3)] == [None, None, "P0301"]
    assert troubles.is_lamp_on
    troubles.run(60.0, 1500.0, {})
    assert (troubles.lamp_m, troubles.lamp_s) == (1500.0, 60.0)
