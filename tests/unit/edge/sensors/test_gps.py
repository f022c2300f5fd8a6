"""The position sensor against a gpsd that says what it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge.sensors.gps import GpsConfig, GpsSensor
from edge.sensors.gps_clock import RELEASED_UTC_MS
from edge.sensors.gps_jump import JumpWatch
from edge.sensors.gps_report import GPS_IDS
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink, boot_ms
from tests.support.gpsd_peer import FakeGpsd
from tests.support.sensor_runs import run, running, until

ID = {name: signal.id for name, signal in catalogue().by_name.items()}
T0 = datetime.fromtimestamp(RELEASED_UTC_MS / 1000, UTC) + timedelta(days=30)


def tpv(second: float, **changes: Any) -> dict[str, Any]:
    report: dict[str, Any] = {
        "class": "TPV",
        "device": "/dev/gps0",
        "mode": 3,
        "time": (T0 + timedelta(seconds=second)).isoformat().replace("+00:00", "Z"),
        "lat": 47.15,
        "lon": 9.55,
        "altMSL": 455.5,
        "altHAE": 503.0,
        "speed": 13.9,
        "track": 271.25,
        "epx": 3.0,
        "epy": 4.0,
        "epv": 9.0,
        "someday": [1],
    }
    return {key: value for key, value in (report | changes).items() if value is not None}


@asynccontextmanager
async def listening(**changes: Any) -> AsyncIterator[tuple[FakeGpsd, GpsSensor, CollectingSink]]:
    async with FakeGpsd() as gpsd:
        values: dict[str, Any] = {"silence_s": 0.4, "lost_s": 0.3, "stale_s": 0.8, "retry_s": 0.05, "retry_max_s": 0.1}
        sensor = GpsSensor(GpsConfig(port=gpsd.port, **(values | changes)), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: gpsd.requests)
            yield gpsd, sensor, sink
        assert sensor.state().link == "closed"


def test_a_fix_becomes_a_row_and_the_first_an_anchor() -> None:
    async def test() -> None:
        async with listening() as (gpsd, sensor, sink):
            assert gpsd.requests[0].startswith(b"?WATCH=")
            before_ms = boot_ms()
            gpsd.send({"class": "SKY", "device": "/dev/gps0", "hdop": 0.91, "uSat": 11}, tpv(0))
            await until(lambda: sink.rows)
            group, at_ms, values = sink.rows[0]
            assert group == "gps"
            assert before_ms <= at_ms <= boot_ms()
            assert values == {
                ID["lat_deg"]: 471500000,
                ID["lon_deg"]: 95500000,
                ID["altitude_m"]: 4555,
                ID["gps_speed_kmh"]: 500,
                ID["heading_deg"]: 2712,
                ID["accuracy_m"]: 50,
                ID["altitude_accuracy_m"]: 90,
                ID["satellites_count"]: 11,
                ID["gps_fix"]: 3,
                ID["hdop"]: 91,
            }
            assert [(a.boot_ms, a.utc_ms, a.source) for a in sink.anchors] == [
                (at_ms, round(T0.timestamp() * 1000), "gps")
            ]
            assert sensor.state().link == "open"

    run(test)


def test_what_is_not_known_is_not_read() -> None:
    async def test() -> None:
        async with listening() as (gpsd, _, sink):
            bare = dict.fromkeys(("altMSL", "altHAE", "track", "epx", "epy", "epv"))
            gpsd.send(tpv(0, mode=2, speed=0.4, **(bare | {"track": 80.0})))
            await until(lambda: sink.rows)
            assert set(sink.rows[0][2]) == {ID[n] for n in ("lat_deg", "lon_deg", "gps_speed_kmh", "gps_fix")}

    run(test)


def test_only_new_times_are_fixes() -> None:
    async def test() -> None:
        async with listening() as (gpsd, sensor, sink):
            gpsd.send(tpv(0, mode=2), tpv(0), tpv(0), tpv(-1), tpv(1, time=None), tpv(1), {"class": "TPV", "mode": 1})
            gpsd.send(tpv(2, lat=None), tpv(3))
            await until(lambda: len(sink.rows) == 3)
            assert sensor.state().facts["repeated"] == 3
            assert sensor.state().facts["without_time"] == 1
            assert len({t for _, t, _ in sink.rows}) == 3
            assert not sink.marks

    run(test)


def test_garbage_and_unknown_classes_do_no_harm() -> None:
    async def test() -> None:
        async with listening() as (gpsd, sensor, sink):
            gpsd.send(
                {"class": "GST", "major": 1},
                {"class": "NEW", "devices": 4},
                b"\xff\xfe{]\n",
                b"\n",
                b"[1,2]\n",
                b'{"class":"TPV","mode":"three"}\n',
                b'{"class":"TPV","mode":3,"lat":1e400}\n',
                b"[" * 5000 + b"\n",
                tpv(0, lat=91.0),
                tpv(1, speed=1e9),
            )
            await until(lambda: sink.rows)
            assert len(sink.rows) == 1
            assert sink.marks == [((ID["gps_speed_kmh"],), sink.rows[0][1], "out_of_range")]
            assert sensor.state().facts["unreadable"] == 7
            assert gpsd.connections == 1

    run(test)


def test_a_fix_that_stops_is_marked_stale_once() -> None:
    async def test() -> None:
        async with listening() as (gpsd, sensor, sink):
            gpsd.send(tpv(0))
            await until(lambda: sink.rows)
            for _ in range(60):  # a dead receiver's gpsd repeats the last fix
                gpsd.send(tpv(0))
                await asyncio.sleep(0.02)
            assert [(ids, kind) for ids, _, kind in sink.marks] == [(GPS_IDS, "stale")]
            assert sensor.state().link == "opening"
            gpsd.send(tpv(60))
            await until(lambda: sensor.state().link == "open")
            assert len(sink.rows) == 2

    run(test)


def test_a_receiver_without_fix_says_so_in_a_last_row() -> None:
    async def test() -> None:
        async with listening(stale_s=60) as (gpsd, sensor, sink):
            gpsd.send(tpv(0))
            await until(lambda: sink.rows)

            def no_fix() -> bool:
                gpsd.send({"class": "TPV", "device": "/dev/gps0", "mode": 1})
                return len(sink.rows) > 1

            await until(no_fix)
            assert sink.rows[-1][2] == {ID["gps_fix"]: 1}
            assert sink.marks[0][0] == GPS_IDS
            assert sensor.state().detail == "no fix (mode 1)"

    run(test)


def test_a_hung_gpsd_is_left_and_found_again() -> None:
    async def test() -> None:
        async with listening() as (gpsd, sensor, sink):
            gpsd.send(tpv(0))
            await until(lambda: sink.rows)
            gpsd.is_hung = True
            await until(lambda: sensor.state().link == "failing" and gpsd.connections > 1)
            assert "hangs" in sensor.state().detail
            await until(lambda: sink.marks)
            gpsd.is_hung = False
            await until(lambda: sensor.state().link == "opening")
            gpsd.send(tpv(9))
            await until(lambda: len(sink.rows) == 2)

    run(test)


def test_a_quiet_receiver_is_not_a_hung_gpsd() -> None:
    async def test() -> None:
        async with listening() as (gpsd, sensor, _):
            await until(lambda: gpsd.requests.count(b"?VERSION;") > 3)
            assert gpsd.connections == 1
            assert sensor.state().link == "opening"
            gpsd.send({"class": "DEVICES", "devices": []})
            await until(lambda: sensor.state().detail == "gpsd has no receiver")

    run(test)


def test_gpsd_may_restart() -> None:
    async def test() -> None:
        async with listening() as (gpsd, sensor, sink):
            await gpsd.stop()
            await until(lambda: sensor.state().link == "failing")
            await gpsd.start()
            await until(lambda: sensor.state().link == "opening")
            gpsd.send(tpv(5))
            await until(lambda: sink.rows)

    run(test)


@pytest.mark.parametrize("shift_days", [-1024 * 7, 1024 * 7, -60])
def test_a_wrong_week_gives_no_anchor_but_the_position_stands(shift_days: int) -> None:
    async def test() -> None:
        async with listening() as (gpsd, _, sink):
            wrong = shift_days * 86400.0
            gpsd.send(tpv(wrong), tpv(wrong + 1), tpv(wrong + 2))
            await until(lambda: len(sink.rows) == 3)
            assert not sink.anchors
            assert sink.kinds() == ["gps_time_refused"]
            gpsd.send(tpv(100_000))
            await until(lambda: sink.anchors)
            assert len(sink.rows) == 4

    run(test)


def test_one_receiver_of_several_is_believed() -> None:
    async def test() -> None:
        async with listening() as (gpsd, sensor, sink):
            gpsd.send(tpv(0), tpv(0.5, device="/dev/gps1"), tpv(1))
            await until(lambda: len(sink.rows) == 2)
            assert sensor.state().facts["other_device"] == 1
            await until(lambda: sensor.state().link == "opening")
            gpsd.send(tpv(30, device="/dev/gps1"))
            await until(lambda: len(sink.rows) == 3)
            assert sensor.state().facts["device"] == "/dev/gps1"

    run(test)


def test_a_position_that_leaps_is_kept_and_told_once() -> None:
    """The distance travelled is of the speed, which does not leap."""

    async def test() -> None:
        async with listening() as (gpsd, _, sink):
            for second, lat in enumerate((47.15, 47.15, 48.85, 47.15, 48.85)):
                gpsd.send(tpv(second, lat=lat))
                await until(lambda n=second: len(sink.rows) == n + 1)
            assert [values[ID["lat_deg"]] for _, _, values in sink.rows][2] == 488_500_000
            assert sink.kinds() == ["position_jumped"]
            (data,) = [data for kind, _, data in sink.events if kind == "position_jumped"]
            assert 188_000 < data["distance_m"] < 190_000
            assert data.keys() == {"distance_m", "after_s"}, "no coordinate"

    run(test)


def test_what_a_vehicle_can_do_is_no_leap() -> None:
    watch = JumpWatch()
    assert watch.take(0, 47.0, 9.0) is None
    assert watch.take(1_000, 47.0005, 9.0) is None, "200 km/h"
    assert watch.take(1_100, 47.0045, 9.0) is None, "after a tunnel"
    assert watch.take(3_601_100, 48.5, 9.0) is None, "an hour later"
    assert watch.take(3_601_100, 48.6, 9.0) is not None, "eleven kilometres in no time"
