"""The position sensor against Debian's gpsd, fed by NMEA over UDP, and against what gpsd expects of real logs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from fractions import Fraction
import gzip
import json
import math
from pathlib import Path
import time
from typing import Any

import pytest

from edge.sensors.gps import GpsConfig, GpsSensor
from edge.sensors.gps_report import GPS_IDS
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink, boot_ms
from tests.support.gpsd_peer import FakeGpsd, Gpsd, gpsd
from tests.support.nmea import circle, epoch
from tests.support.real_data import require_data
from tests.support.sensor_runs import running, until

ID = {name: signal.id for name, signal in catalogue().by_name.items()}
LOGS = ("garmin-geko201", "haicom-305N", "navika-100-fix", "quectel", "sirfstarv-nmea", "sl869", "telit-he910")


def run(port: int, test: Callable[[GpsSensor, CollectingSink], Awaitable[None]]) -> CollectingSink:
    async def body() -> CollectingSink:
        sensor = GpsSensor(GpsConfig(port=port), boot_ms)
        async with asyncio.timeout(90), running(sensor) as sink:
            await test(sensor, sink)
        return sink

    return asyncio.run(body())


class Drive:
    """Feeds an epoch each time it is asked to, five a second; `has_fix` may be turned off."""

    def __init__(self, peer: Gpsd) -> None:
        self._peer = peer
        self._begin_s = time.time()
        self._n = 0
        self.has_fix = True

    async def on(self, condition: Callable[[], object], deadline_s: float = 15) -> None:
        async with asyncio.timeout(deadline_s):
            while not condition():
                t_s = self._n * 0.2
                lat, lon, speed, track = circle(t_s)
                self._peer.feed(epoch(self._begin_s + t_s, lat, lon, speed, track, has_fix=self.has_fix))
                self._n += 1
                await asyncio.sleep(max(0.0, self._begin_s + self._n * 0.2 - time.time()))


@pytest.mark.peer
def test_a_drive_with_a_tunnel_a_hang_and_a_restart() -> None:
    with gpsd() as peer:

        async def test(sensor: GpsSensor, sink: CollectingSink) -> None:
            drive = Drive(peer)
            await drive.on(lambda: len([r for r in sink.rows if ID["heading_deg"] in r[2]]) > 10)
            values = sink.rows[-1][2]
            assert values[ID["gps_speed_kmh"]] == 504
            assert values[ID["gps_fix"]] == 3
            assert abs(values[ID["altitude_m"]] - 350) <= 1
            distance_m = math.dist(
                (52.52, 13.405), (values[ID["lat_deg"]] / 1e7, values[ID["lon_deg"]] / 1e7)
            )  # degrees: a circle of 800 m stays within 0.02
            assert distance_m < 0.02
            times = [t for _, t, _ in sink.rows]
            assert times == sorted(set(times))
            assert len(sink.anchors) == 1
            assert abs(sink.anchors[0].utc_ms - sink.anchors[0].boot_ms - (time.time() * 1000 - boot_ms())) < 1_500

            drive.has_fix = False
            await drive.on(lambda: sink.marks)
            assert sink.marks[0][0] == GPS_IDS
            assert sensor.state().link == "opening"
            drive.has_fix = True
            await drive.on(lambda: sensor.state().link == "open")

            peer.pause()
            hung_s = time.monotonic()
            await until(lambda: sensor.state().link == "failing")
            assert time.monotonic() - hung_s < 5
            peer.resume()
            await drive.on(lambda: sensor.state().link == "open")

            peer.kill()
            await until(lambda: sensor.state().link == "failing")
            peer.start()
            await drive.on(lambda: sensor.state().link == "open")
            assert len(sink.anchors) == 1  # nothing of all this moved the clock

        run(peer.port, test)


@pytest.mark.peer
def test_without_a_receiver_nothing_is_measured() -> None:
    with gpsd() as peer:

        async def test(sensor: GpsSensor, sink: CollectingSink) -> None:
            await until(lambda: "gpsd_release" in sensor.state().facts)
            assert sensor.state().link == "opening"
            assert not sink.rows

        run(peer.port, test)


def expected_reports(log: str) -> list[dict[str, Any]]:
    """gpsd's own decode of a log, in order."""
    folder = require_data("gps", "gpsd-regression")
    packed = folder / f"{log}.log.chk.gz"
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / f"{log}.log.chk").read_bytes()
    reports = []
    for line in text.splitlines():
        if line.startswith(b'{"class"'):
            with suppress(ValueError):
                reports.append(json.loads(line))
    return reports


def raw_position(report: dict[str, Any]) -> tuple[int, int]:
    """Latitude and longitude in 1e-7 degrees; exact, since some of them lie halfway."""
    return round(Fraction(report["lat"]) * 10**7), round(Fraction(report["lon"]) * 10**7)


def expected_fixes(reports: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Position of each first report of a new time with a fix, worked out independently of the sensor."""
    fixes, latest = [], ""
    for report in reports:
        if report["class"] == "TPV" and report["mode"] >= 2 and "lat" in report and report.get("time", "") > latest:
            latest = report["time"]
            fixes.append(raw_position(report))
    return fixes


@pytest.mark.real_data
@pytest.mark.parametrize("log", LOGS)
def test_rows_of_real_reports(log: str) -> None:
    """Every new fix that gpsd expects of a log is a row, and no other."""
    reports = expected_reports(log)

    async def body() -> CollectingSink:
        async with FakeGpsd() as fake:
            sensor = GpsSensor(GpsConfig(port=fake.port), boot_ms)
            async with running(sensor) as sink:
                await until(lambda: fake.requests)
                fake.send(*reports, {"class": "TPV", "mode": 0}, {"class": "DEVICES", "devices": []})
                await until(lambda: sensor.state().detail == "gpsd has no receiver")
            assert sensor.state().facts["unreadable"] == 0
            return sink

    sink = asyncio.run(body())
    found = [(v[ID["lat_deg"]], v[ID["lon_deg"]]) for _, _, v in sink.rows if ID["lat_deg"] in v]
    assert found == expected_fixes(reports)
    print(f"{log}: {len(reports)} reports, {len(found)} fixes")


@pytest.mark.real_data
@pytest.mark.peer
@pytest.mark.parametrize("log", LOGS)
def test_real_logs_through_the_real_gpsd(log: str) -> None:
    """The bytes of a receiver through gpsd: every row's position, height and speed is one that gpsd expects."""
    reports = [r for r in expected_reports(log) if r["class"] == "TPV" and r["mode"] >= 2 and "lat" in r]
    positions = {raw_position(r) for r in reports}
    lines = require_data("gps", "gpsd-regression", f"{log}.log").read_bytes().splitlines(keepends=True)
    with gpsd() as peer:

        async def test(sensor: GpsSensor, sink: CollectingSink) -> None:
            await until(lambda: "gpsd_release" in sensor.state().facts)
            for line in lines:
                if not line.startswith(b"#"):
                    peer.feed(line)
                    await asyncio.sleep(0.004)
            if expected_fixes(expected_reports(log)):
                await until(lambda: sink.rows)

        sink = run(peer.port, test)
    found = {(v[ID["lat_deg"]], v[ID["lon_deg"]]) for _, _, v in sink.rows if ID["lat_deg"] in v}
    assert found <= positions, sorted(found - positions)[:5]
    for name, key, factor in (("altitude_m", "altMSL", 10), ("gps_speed_kmh", "speed", 36)):
        expected = [r[key] * factor for r in reports if key in r]
        for value in {v[ID[name]] for _, _, v in sink.rows if ID[name] in v}:
            assert any(abs(value - e) <= 0.51 for e in expected), (name, value)
    print(f"{log}: {len(sink.rows)} rows, {len(found)} of {len(positions)} positions")


def test_logs_are_all_of_the_folder() -> None:
    folder = require_data("gps", "gpsd-regression")
    assert sorted(LOGS) == sorted(path.stem for path in Path(folder).glob("*.log"))
