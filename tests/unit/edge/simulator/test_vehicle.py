"""The model is plausible: energy, gears and revolutions agree, limits are kept, the same seed drives the same trip."""

from collections import Counter
import math

import pytest

from edge.simulator.faults import FaultRequest
from edge.simulator.kinds import KINDS
from edge.simulator.powertrain import DRIVELINE, HEAT_KJG, RPM_PER_RADS, TURNING_MASS
from edge.simulator.route import METRES_PER_DEG, load_route, route_names
from edge.simulator.vehicle import STEP_S, Vehicle
from sync_protocol.errors import Invalid

TRIPS = list(zip(KINDS, route_names(), strict=False))


def vehicle(kind: str = "van", route: str = "valley", seed: str = "5") -> Vehicle:
    return Vehicle(f"{kind}-01", KINDS[kind], load_route(route), seed)


def drive(v: Vehicle, seconds: float):
    """Step through a drive, yielding after every step of the model."""
    for _ in range(int(seconds / STEP_S)):
        v.advance_to(v.clock_s + STEP_S * 1.001)
        yield v


@pytest.mark.parametrize(("kind", "route"), TRIPS)
def test_limits_are_kept_and_the_way_is_never_left(kind: str, route: str) -> None:
    v = vehicle(kind, route)
    before = v.place
    for _ in drive(v, 1500):
        place = v.place
        assert v.speed_ms * 3.6 <= place.limit_kmh + 8
        squeeze = math.cos(math.radians(place.lat_deg))
        moved_m = METRES_PER_DEG * math.hypot(
            place.lat_deg - before.lat_deg, (place.lon_deg - before.lon_deg) * squeeze
        )
        assert moved_m <= (v.speed_ms + 1) * STEP_S + 0.05
        assert -5 < v.acceleration_ms2 < 3
        before = place
    assert v.distance_m > 5000


@pytest.mark.parametrize(("kind", "route"), TRIPS)
def test_gear_and_revolutions_agree_with_the_wheels(kind: str, route: str) -> None:
    v = vehicle(kind, route)
    engine, locked, gears = v.powertrain, 0, Counter[int]()
    for _ in drive(v, 900):
        state = engine.state
        gears[state.gear] += 1
        if not v.is_running or state.is_slipping or state.is_shifting or v.speed_ms < 3:
            continue
        before_ms = v.speed_ms - v.acceleration_ms2 * STEP_S  # the engine is worked out at the start of the step
        expected = before_ms / v.kind.wheel_radius_m * v.kind.ratios[state.gear - 1] * RPM_PER_RADS
        assert state.rpm == pytest.approx(min(expected, v.kind.max_rpm), rel=0.02)
        assert v.kind.idle_rpm * 0.8 < state.rpm <= v.kind.max_rpm
        locked += 1
    assert locked > 1200
    assert len(gears) >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_energy_is_paid_for_in_fuel(kind: str) -> None:
    v = vehicle(kind)
    engine, steps = v.powertrain, 0
    for _ in drive(v, 700):
        state = engine.state
        if not v.is_running:
            continue
        before_ms = v.speed_ms - v.acceleration_ms2 * STEP_S
        at_wheels_w = state.force_n * before_ms
        burnt_w = state.fuel_gs * HEAT_KJG * 1000
        assert at_wheels_w <= burnt_w * 0.45 + 1
        if v.acceleration_ms2 > 0.2 and before_ms > 1:
            needed_n = v.kind.mass_kg * TURNING_MASS * v.acceleration_ms2 + engine.resistance_n(before_ms)
            assert state.force_n == pytest.approx(needed_n, rel=0.02)
            if not state.is_slipping:
                assert state.torque_nm * state.rpm / RPM_PER_RADS * DRIVELINE == pytest.approx(at_wheels_w, rel=0.03)
            steps += 1
        if v.kind.fuel == "petrol" and state.fuel_gs > 0.3:
            assert state.maf_gs / state.fuel_gs == pytest.approx(14.7, rel=0.05)
    assert steps > 150


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [("van", 6, 12), ("car", 4, 9), ("compact", 3.5, 9), ("truck", 11, 25), ("lorry", 14, 35)],
)
def test_consumption_is_of_this_world(kind: str, least: float, most: float) -> None:
    v = vehicle(kind)
    start_m = v.distance_m
    v.advance_to(2400)
    litres = v.fuel_used_g / v.kind.density_gl
    assert least < litres / (v.distance_m - start_m) * 100_000 < most


def test_a_day_has_drives_waits_and_parking() -> None:
    v = vehicle("car", "fast")
    phases = Counter(v.driver.phase for _ in drive(v, 4000))
    assert set(phases) == {"key_on", "cranking", "settling", "driving", "holding", "parked"}
    assert phases["driving"] > 0.5 * phases.total()


def test_a_lorry_has_two_batteries_in_a_row() -> None:
    v = vehicle("lorry")
    assert 24.5 < v.electrics.volts < 26
    assert 19 < min(v.electrics.volts for _ in drive(v, 8)) < 23.5  # cranking
    v.advance_to(60)
    assert 27.6 < v.electrics.volts < 29


def test_engine_warms_up_and_the_battery_is_charged() -> None:
    v = vehicle("compact")
    assert v.temperatures.coolant_c == v.temperatures.ambient_c
    lowest_v = min(v.electrics.volts for _ in drive(v, 8))
    assert lowest_v < 11.6  # cranking
    v.advance_to(1500)
    assert 84 < v.temperatures.coolant_c < 104
    assert v.temperatures.oil_c > 70
    v.driver.park()
    v.advance_to(1900)
    assert (v.driver.phase, v.has_ignition, v.powertrain.state.rpm) == ("parked", False, 0.0)
    assert 12.2 < v.electrics.volts < 13.6
    v.driver.resume()
    v.advance_to(1930)
    assert v.is_running
    assert v.electrics.volts > 13.8


def test_the_same_seed_is_the_same_vehicle_however_it_is_asked() -> None:
    often, once, other = vehicle(seed="9"), vehicle(seed="9"), vehicle(seed="10")
    for second in range(1, 900):
        often.advance_to(second * 0.7)
    once.advance_to(899 * 0.7)
    other.advance_to(899 * 0.7)

    def seen(v: Vehicle) -> tuple[object, ...]:
        return (
            v.vin,
            v.distance_m,
            v.speed_ms,
            v.powertrain.state,
            v.temperatures,
            v.tank.level_pct,
            v.electrics.volts,
        )

    assert seen(often) == seen(once)
    assert seen(often) != seen(other)


def test_misfire_is_pending_then_stored_and_shakes_the_engine() -> None:
    v = vehicle("car")
    v.advance_to(60)
    v.break_(FaultRequest("misfire"))
    v.advance_to(70)
    assert v.troubles.pending == ["P0301"]
    assert not v.troubles.is_lamp_on
    v.advance_to(100)
    assert v.troubles.stored == ["P0301"]
    v.repair("misfire")
    v.advance_to(130)
    assert v.troubles.stored == ["P0301"]
    v.troubles.clear()
    v.advance_to(200)
    assert (v.troubles.stored, v.troubles.permanent) == ([], ["P0301"])


def test_stuck_thermostat_never_gets_warm() -> None:
    v = vehicle("car", "fast")
    v.break_(FaultRequest("thermostat"))
    v.advance_to(2400)
    assert v.temperatures.coolant_c < 72
    assert "P0128" in v.troubles.stored


def test_weak_alternator_drains_the_battery() -> None:
    v = vehicle("van", "east")
    v.break_(FaultRequest("alternator", after_s=100))
    v.advance_to(99)
    assert v.electrics.volts > 13.8
    v.advance_to(600)
    assert v.electrics.volts < 12.8
    v.advance_to(1500)
    assert "P0562" in v.troubles.stored


def test_loose_oxygen_sensor_swings_the_trims() -> None:
    good, bad = vehicle("compact"), vehicle("compact")
    bad.break_(FaultRequest("o2", after_s=300))
    highest = [max(v.mixture.short_pct for _ in drive(v, 900)) for v in (good, bad)]
    assert highest[0] < 6 < 8 < highest[1]
    assert bad.troubles.stored == ["P0130"]


def test_a_diesel_has_no_oxygen_sensor_to_come_loose() -> None:
    with pytest.raises(Invalid, match="van has no part"):
        vehicle("van").break_(FaultRequest("o2"))


def test_a_planned_fault_can_be_called_off() -> None:
    v = vehicle()
    v.break_(FaultRequest("dtc=P0420", after_s=50))
    v.repair("dtc=P0420")
    v.advance_to(120)
    assert v.troubles.stored == []


def test_fuel_sloshes_and_is_filled_up_when_low() -> None:
    v = vehicle("compact")
    v.tank.litres = 3.0
    levels = [v.tank.level_pct for _ in drive(v, 300)]
    assert max(levels) - min(levels) > 2
    while v.driver.phase != "parked":
        v.advance_to(v.clock_s + 10)
    assert v.tank.level_pct > 85
