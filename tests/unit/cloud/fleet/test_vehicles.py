"""A vehicle's record joined with its newest values."""

from datetime import UTC, datetime, timedelta

from cloud.fleet.neighbours import VehicleNow
from cloud.fleet.payloads import State
from cloud.fleet.vehicles import UNKNOWN, Known, Record, current_values, position, state_now, status_word, summary

NOW = datetime(2026, 5, 1, 8, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
VEHICLE = Record(7, "Van", None, None, None, None, None)


def live(**values: tuple[float, int]) -> VehicleNow:
    """Values with their age in seconds."""
    read = {name: (value, NOW_MS - age_s * 1000) for name, (value, age_s) in values.items()}
    return VehicleNow(max(ts_ms for _, ts_ms in read.values()), read)


def test_a_vehicle_that_never_sent() -> None:
    found = summary(Known(VEHICLE, UNKNOWN, 0), None, "unknown", None, NOW)
    assert (found.state, found.last_seen, found.position, found.values) == (State("unknown", None), None, None, {})


def test_a_list_shows_few_values() -> None:
    found = summary(Known(VEHICLE, UNKNOWN, 2), live(speed_kmh=(50, 1), maf_gs=(9, 1)), "driving", "van-01", NOW)
    assert found.values == {"speed_kmh": 50}
    assert found.last_seen == NOW - timedelta(seconds=1)
    assert (found.device_id, found.fault_count) == ("van-01", 2)


def test_what_it_does_and_since_when() -> None:
    since = NOW - timedelta(hours=1)
    driving = State("driving", since)
    assert state_now(driving, "driving", NOW) == driving
    assert state_now(driving, "idling", NOW) == State("idling", None)
    assert state_now(driving, "silent", NOW) == State("silent", NOW)
    assert state_now(driving, "unknown", None) == driving
    assert status_word("parked") == "parked"
    assert status_word("flying") == "unknown"


def test_a_position_takes_only_what_belongs_to_it() -> None:
    fix = position(live(lat_deg=(47.1, 60), lon_deg=(9.5, 60), heading_deg=(90, 300), gps_speed_kmh=(33, 60)), NOW_MS)
    assert fix is not None
    assert (fix.lat_deg, fix.heading_deg, fix.speed_kmh) == (47.1, None, None)
    assert fix.ts == NOW - timedelta(seconds=60)
    assert position(live(lat_deg=(47.1, 60)), NOW_MS) is None
    fix = position(live(lat_deg=(47.1, 5), lon_deg=(9.5, 5), gps_speed_kmh=(33, 5), speed_kmh=(31, 16)), NOW_MS)
    assert fix is not None
    assert fix.speed_kmh == 33


def test_what_no_longer_holds_is_left_out() -> None:
    read = live(speed_kmh=(42, 16), engine_rpm=(800, 15), fuel_level_pct=(60, 71), coolant_c=(80, 39))
    found = summary(Known(VEHICLE, UNKNOWN, 0), read, "parked", None, NOW)
    assert found.values == {"engine_rpm": 800, "coolant_c": 80}


def test_current_values_say_how_old_and_whether_to_believe_them() -> None:
    found = current_values(7, live(is_mil_on=(1.0, 5), speed_kmh=(50, 6), coolant_c=(80, 29)), NOW)
    values = {value.signal: value for value in found.values}
    assert [value.signal for value in found.values] == ["is_mil_on", "coolant_c", "speed_kmh"]
    assert values["is_mil_on"].value is True
    assert (values["speed_kmh"].age_s, values["speed_kmh"].is_stale) == (6.0, True)
    assert (values["coolant_c"].unit, values["coolant_c"].is_stale) == ("celsius", False)
    assert current_values(7, None, NOW).values == []


def test_a_clock_ahead_of_ours_gives_no_negative_age() -> None:
    assert current_values(7, live(speed_kmh=(50, -3)), NOW).values[0].age_s == 0.0
