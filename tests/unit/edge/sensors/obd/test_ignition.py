"""When a vehicle is left alone, and when it is asked again."""

from collections.abc import Callable
import math

import pytest

from edge.sensors.obd.battery import Level
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


def asked_in(
    ignition: Ignition, hours: float, volts: Callable[[int], float | None], level: Level = "good"
) -> list[int]:
    """When a vehicle at rest is asked, with a reading each second."""
    asked = []
    ignition.asked(0)
    for now_ms in range(0, round(hours * 3_600_000), 1_000):
        ignition.saw_voltage(volts(now_ms), now_ms)
        if ignition.should_ask(now_ms, level):
            ignition.asked(now_ms)
            asked.append(now_ms)
    return asked


def test_a_sleeping_vehicle_whose_voltage_is_known_is_never_asked() -> None:
    noise, settling = (0.0, 0.1, -0.1, 0.0), 0.7
    assert not asked_in(
        Ignition(CONFIG, 0),
        10,
        lambda now_ms: 12.4 + settling * math.exp(-now_ms / 240_000) + noise[now_ms // 1000 % 4] - now_ms / 1e8,
    )


def test_an_adapter_without_voltage_asks_ever_more_rarely() -> None:
    asked = asked_in(Ignition(CONFIG, 0), 10, lambda now_ms: None)
    assert 9 <= len(asked) <= 15
    assert 270_000 <= asked[0] <= 331_000
    assert 3_200_000 <= asked[-1] - asked[-2] <= 4_000_000


def test_stopping_the_engine_is_no_sign_of_use() -> None:
    assert not asked_in(Ignition(CONFIG, 0), 1, lambda now_ms: 14.2 if now_ms < 5_000 else 12.9)[1:]


@pytest.mark.parametrize("woken_v", [12.1, 9.8, 12.9])
def test_the_voltage_wakes_but_not_more_often_than_the_spacing(woken_v: float) -> None:
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(12.5, 0)
    ignition.saw_voltage(woken_v, 10_000)
    assert not ignition.should_ask(20_000)
    assert ignition.should_ask(30_000)
    ignition.asked(30_000)
    assert not ignition.should_ask(50_000)


def test_a_started_engine_is_asked_at_once_and_then_not_more_often_than_the_spacing() -> None:
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(12.5, 0)
    ignition.asked(1_000)
    ignition.saw_voltage(14.1, 2_000)
    assert ignition.should_ask(2_000)
    ignition.asked(2_000)
    assert not ignition.should_ask(31_000)
    assert ignition.should_ask(32_000)


def test_a_question_waits_until_the_starter_may_be_done() -> None:
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(12.5, 50_000)
    ignition.saw_voltage(12.1, 51_000)
    assert not ignition.should_ask(53_900)
    assert ignition.should_ask(54_000)


def test_a_low_battery_is_asked_for_more_rarely_and_an_empty_one_only_when_charged() -> None:
    def doors(now_ms: int) -> float:
        return 12.0 if now_ms // 60_000 % 2 else 11.6  # somebody opens a door every two minutes

    good = len(asked_in(Ignition(CONFIG, 0), 2, doors))
    low = len(asked_in(Ignition(CONFIG, 0), 2, doors, "low"))
    assert good > 100
    assert 10 <= low <= 12
    empty = asked_in(Ignition(CONFIG, 0), 2, lambda now_ms: doors(now_ms) if now_ms < 7_000_000 else 14.0, "empty")
    assert empty[0] == 7_000_000


def test_24_volts_are_known_also_while_the_starter_turns_and_when_nearly_flat() -> None:
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(25.0, 0)
    ignition.saw_voltage(16.2, 1_000)  # the starter turns
    assert not ignition.is_charging
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(17.2, 0)  # a restart of the agent, on a battery that somebody forgot
    assert not ignition.is_charging


def test_12_volts_that_were_jump_started_with_24_are_12_volts_again() -> None:
    ignition = Ignition(CONFIG, 0)
    for second in range(3_600):
        ignition.saw_voltage(24.8 if second < 60 else 14.2 if second < 1_200 else 12.6, second * 1_000)
        if 60 <= second < 1_200:
            assert not ignition.is_charging  # not known yet: the engine's speed tells that it runs
    assert ignition.scale == 1
    ignition.saw_voltage(14.2, 3_600_000)
    assert ignition.is_charging


def test_an_adapter_without_voltage_leaves_the_clock() -> None:
    ignition = Ignition(CONFIG, 0)
    ignition.saw_voltage(None, 100_000)
    assert not ignition.is_charging
    assert ignition.should_rest(120_000)
    assert not ignition.should_ask(200_000)
    assert ignition.should_ask(331_000)
