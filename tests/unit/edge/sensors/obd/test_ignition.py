"""When a vehicle is left alone, and when it is asked again."""

import pytest

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.ignition import Ignition
from sync_protocol.signals import catalogue

RPM = catalogue().by_name["engine_rpm"].id
SPEED = catalogue().by_name["speed_kmh"].id
CONFIG = ObdConfig(quiet_after_s=120, probe_spacing_s=30, probe_period_s=300)


def test_a_running_engine_is_measured_on_and_one_that_is_off_left_after_two_minutes() -> None:
    ignition = Ignition(CONFIG, 0)
    for now_ms in range(0, 600_000, 1_000):
        assert ignition.saw_values({RPM: 3_200, SPEED: 0}, now_ms)
        assert not ignition.should_rest(now_ms)
    for now_ms in range(600_000, 718_000, 1_000):
        assert not ignition.saw_values({RPM: 0, SPEED: 0}, now_ms)
        assert not ignition.should_rest(now_ms)
    assert ignition.should_rest(720_000)


@pytest.mark.parametrize("sign", [{SPEED: 20, RPM: 0}, {SPEED: 20}])
def test_rolling_with_the_engine_off_is_use(sign: dict[int, int]) -> None:
    ignition = Ignition(CONFIG, 0)
    assert ignition.saw_values(sign, 500_000)
    assert not ignition.should_rest(600_000)


@pytest.mark.parametrize(("battery_v", "is_charging"), [(14.1, True), (12.6, False), (28.1, True), (25.2, False)])
def test_charging_is_use_on_12_and_24_volts(battery_v: float, is_charging: bool) -> None:
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(battery_v, 500_000)
    assert ignition.is_charging is is_charging
    assert ignition.should_rest(600_000) is not is_charging


def test_a_sleeping_vehicle_is_asked_rarely() -> None:
    ignition, asked = Ignition(CONFIG, 0), []
    for now_ms in range(0, 3_600_000, 10_000):
        ignition.saw_voltage(12.5 + now_ms / 1e9, now_ms)
        if ignition.should_ask(now_ms):
            ignition.asked(now_ms)
            asked.append(now_ms)
    assert 10 <= len(asked) <= 13


@pytest.mark.parametrize("woken_v", [12.1, 9.8, 13.9])
def test_the_voltage_wakes_but_not_more_often_than_the_spacing(woken_v: float) -> None:
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(12.5, 0)
    ignition.saw_voltage(woken_v, 10_000)
    assert not ignition.should_ask(20_000)
    assert ignition.should_ask(30_000)
    ignition.asked(30_000)
    assert not ignition.should_ask(50_000)


def test_an_adapter_without_voltage_leaves_the_clock() -> None:
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(None, 100_000)
    assert not ignition.is_charging
    assert ignition.should_rest(120_000)
    assert not ignition.should_ask(200_000)
    assert ignition.should_ask(331_000)
