"""What a voltage, second by second, says of a starter battery."""

from collections.abc import Iterable

import pytest

from edge.sensors.obd.battery import Battery, Told
from edge.sensors.obd.config import BatteryConfig, ObdConfig

CONFIG = ObdConfig()
HOUR_MS = 3_600_000


def see(battery: Battery, volts: Iterable[float], from_ms: int, step_ms: int, *, scale: int = 1) -> list[Told]:
    """Readings of a vehicle that was last used at time 0."""
    told = []
    for n, battery_v in enumerate(volts):
        told += battery.saw(battery_v, from_ms + n * step_ms, scale=scale, used_ms=0)
    return told


def test_the_voltage_at_rest_is_told_once_the_plates_have_settled_and_then_daily() -> None:
    battery = Battery(CONFIG, 0)
    told = see(battery, [12.6] * (50 * 360), 0, 10_000)
    assert [t.kind for t in told] == ["battery_rested"] * 2
    assert [t.data["rested_h"] for t in told] == [3.0, 27.0]
    assert told[0].data["battery_v"] == 12.6


def test_a_door_that_stands_open_for_two_minutes_is_not_a_flat_battery() -> None:
    battery = Battery(CONFIG, 0)
    volts = [12.5] * 60 + [11.9] * 12 + [12.5] * 60
    assert not see(battery, volts, HOUR_MS, 10_000)
    assert battery.level == "good"


@pytest.mark.parametrize(("scale", "low_v", "empty_v"), [(1, 12.1, 11.7), (2, 24.2, 23.5)])
def test_low_then_empty_each_told_once_and_forgotten_when_driven(scale: int, low_v: float, empty_v: float) -> None:
    battery = Battery(CONFIG, 0)
    told = see(battery, [low_v] * 60 + [empty_v] * 60, HOUR_MS, 10_000, scale=scale)
    assert [t.data["level"] for t in told] == ["low", "empty"]
    assert battery.advice == "off"
    battery.saw(14.0 * scale, 3 * HOUR_MS, scale=scale, used_ms=3 * HOUR_MS)
    assert battery.advice == "run"


def test_thresholds_are_configuration() -> None:
    lithium = Battery(ObdConfig(battery=BatteryConfig(low_v=12.9, empty_v=12.5)), 0)
    assert [t.data["level"] for t in see(lithium, [12.8] * 60, HOUR_MS, 10_000)] == ["low"]


@pytest.mark.parametrize("scale", [1, 2])
def test_the_lowest_voltage_while_cranking(scale: int) -> None:
    battery = Battery(CONFIG, 0)
    volts = [12.4] * 5 + [12.1] * 5 + [9.2, 9.6, 10.1, 10.4] + [11.8, 12.9, 13.9, 14.2]
    (told,) = see(battery, [v * scale for v in volts], 0, 100, scale=scale)
    assert told.kind == "battery_cranked"
    assert told.data == {
        "min_v": 9.2 * scale, "before_v": 12.1 * scale, "duration_s": 0.4, "samples": 5, "is_started": True,
    }  # fmt: skip
    assert battery.cranked_min_v == 9.2 * scale


def test_a_start_without_charging_afterwards_has_failed() -> None:
    (told,) = see(Battery(CONFIG, 0), [12.2, 9.1, 9.3, 12.0] + [12.0] * 60, 100, 100)
    assert not told.data["is_started"]


def test_a_lasting_load_and_a_stopped_engine_are_no_starter() -> None:
    battery = Battery(CONFIG, 0)
    assert not see(battery, [12.6] + [11.2] * 200 + [12.6] * 100, 100, 100)
    assert not see(battery, [14.2] * 5 + [12.6] * 100, 60_000, 100)
    assert not battery.is_cranking


def test_readings_come_fast_when_a_start_is_expected_and_rarely_when_low() -> None:
    battery = Battery(CONFIG, 0)
    assert battery.poll_s(1_000) == 1.0
    battery.expect_start(2_000)
    assert battery.poll_s(31_000) == 0.1
    assert battery.poll_s(33_000) == 1.0
    see(battery, [11.5] * 60, HOUR_MS, 10_000)
    assert battery.poll_s(2 * HOUR_MS) == 60.0
