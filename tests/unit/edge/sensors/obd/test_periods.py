"""Periods by what the bus has time for."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from edge.sensors.obd.periods import BUS_SHARE, Cost, choose, load
from edge.sensors.obd.profile import longest_period_s
from edge.sensors.obd.schedule import FIRST_PIDS
from sync_protocol.signals import Signal, catalogue

ALL = [signal for signal in catalogue().signals if signal.pid is not None]
PIDS = sorted(catalogue().by_pid)


def cost(answer_ms: float, more_ms: float = 5.0, batch_size: int = 6) -> Cost:
    return Cost(dict.fromkeys(PIDS, answer_ms), more_ms, batch_size, dict.fromkeys(PIDS, 0x7E8))


def of(*names: str) -> list[Signal]:
    return [catalogue().by_name[name] for name in names]


def test_a_quick_bus_keeps_the_catalogues_periods() -> None:
    chosen = choose(ALL, {}, cost(20))
    assert chosen.fits
    assert chosen.periods_s == {signal.name: signal.period_s for signal in ALL}


def test_the_load_is_requests_times_their_duration() -> None:
    speed, coolant, codes = of("speed_kmh", "coolant_c", "dtc_count")
    assert load([speed], {}, cost(100)) == pytest.approx(0.1)
    assert load([speed, coolant], {}, cost(100, more_ms=10)) == pytest.approx(0.11)  # one request
    assert load([speed, coolant], {}, cost(100, batch_size=1)) == pytest.approx(0.2)
    assert load([speed, codes], {}, cost(100)) == pytest.approx(0.11)  # the codes every ten seconds
    assert load([speed, coolant], {"coolant_c": 10}, cost(100)) == pytest.approx(0.11)


def test_what_changes_slowly_waits_and_the_speed_does_not() -> None:
    signals = of("speed_kmh", "engine_rpm", "throttle_pct", "coolant_c", "oil_c", "rail_kpa", "manifold_kpa")
    chosen = choose(signals, {}, cost(130, batch_size=1))
    assert chosen.fits
    assert {chosen.periods_s[name] for name in ("speed_kmh", "engine_rpm", "throttle_pct", "manifold_kpa")} == {1}
    assert chosen.periods_s["coolant_c"] > 1
    assert chosen.periods_s["oil_c"] > 1


def test_a_bus_that_is_too_slow_is_said_to_be() -> None:
    chosen = choose(ALL, {}, cost(400, batch_size=1))
    assert not chosen.fits
    assert chosen.load > 1
    assert all(chosen.periods_s[s.name] == s.period_s for s in ALL if s.pid in FIRST_PIDS)


def test_what_a_profile_says_is_the_beginning() -> None:
    assert choose(of("oil_c"), {"oil_c": 5}, cost(20)).periods_s == {"oil_c": 5}


@settings(max_examples=25)
@given(
    st.floats(1, 500), st.floats(0, 50), st.integers(1, 6), st.sets(st.sampled_from(ALL), min_size=1)
)  # fmt: skip
def test_no_period_makes_a_signal_stale(
    answer_ms: float, more_ms: float, batch_size: int, signals: set[Signal]
) -> None:
    ordered = sorted(signals, key=lambda signal: signal.id)
    chosen = choose(ordered, {}, cost(answer_ms, more_ms, batch_size))
    assert chosen.periods_s.keys() == {signal.name for signal in signals}
    assert all(s.period_s <= chosen.periods_s[s.name] <= longest_period_s(s) for s in signals)
    assert chosen.load == pytest.approx(load(ordered, chosen.periods_s, cost(answer_ms, more_ms, batch_size)))
    assert chosen.fits == (chosen.load <= BUS_SHARE)
