"""Questions about the past: the right tier, every peak kept, gaps shown, fresh minutes true."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cloud.telemetry.history import _shape, events, history, tier_for, track
from cloud.telemetry.tiers import build
from sync_protocol.codec import encode
from sync_protocol.errors import Invalid
from sync_protocol.messages import Event, Meta, TimeAnchor
from tests.support.fleet import LocalPlane
from tests.support.frames import EPOCH_MS, Drive, group

HOUR_US = 3_600_000_000
END = datetime(2100, 1, 1)
START_US = (EPOCH_MS + 10_000) * 1000


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPlane]:
    """Three hours at 1 Hz with a peak of one second each, a pause of ten minutes, an event every half hour."""
    made = LocalPlane(tmp_path_factory.mktemp("history"))
    stream = bytes(16)
    rng = np.random.default_rng(1)
    frames = []
    for seq in range(1, 181):
        first = 10_000 + (seq - 1) * 60_000
        times = [first + i * 1000 for i in range(60)]
        if 60 <= seq < 70:
            times = times[:1]
        rpm = [float(v) for v in rng.integers(800, 900, len(times))]
        if seq == 100:
            rpm[30] = 5000.0
        if seq == 101:
            rpm[31] = 100.0
        values = {
            "engine_rpm": rpm,
            "lat_deg": [47 + seq / 1000 + i / 1e5 for i in range(len(times))],
            "lon_deg": [9.0] * len(times),
        }
        happened = (Event(first, "harsh_brake", {"n": seq}),) if seq % 30 == 0 else ()
        anchors = (TimeAnchor(first, EPOCH_MS + first, "gps", 20),) if seq == 1 else ()
        frames.append(encode(stream, seq, 1, [group(values, times)], Meta(happened, anchors)))
    made.feed(frames)
    yield made
    made.close()


def ask(plane: LocalPlane, hours: float, points: int, names: tuple[str, ...] = ("engine_rpm",)) -> object:
    return plane.store.read_sync(
        lambda cursor: history(cursor, 1, 1, names, START_US, START_US + int(hours * HOUR_US), points)
    )


def test_tiers_by_span() -> None:
    assert [tier_for(0, hours * HOUR_US) for hours in (1, 2, 3, 14 * 24, 15 * 24)] == ["raw", "raw", "1m", "1m", "1h"]


def test_few_points_are_given_as_they_are(plane: LocalPlane) -> None:
    found = plane.store.read_sync(
        lambda cursor: history(cursor, 1, 1, ["engine_rpm", "coolant_c"], START_US, START_US + 60_000_000, 800)
    )
    rpm, coolant = found.series
    assert (found.tier, len(rpm.ts_ms), rpm.min, rpm.unit) == ("raw", 60, None, "rpm")
    assert (coolant.ts_ms, coolant.value) == ([], [])


@pytest.mark.parametrize("hours", [2, 3, 24 * 20])
def test_a_peak_of_one_second_survives(plane: LocalPlane, hours: int) -> None:
    (series,) = ask(plane, hours, 50).series
    assert len(series.ts_ms) <= 55
    assert max(v for v in series.max if v is not None) == 5000
    assert min(v for v in series.min if v is not None) == 100


def test_a_gap_breaks_the_line(plane: LocalPlane) -> None:
    (series,) = ask(plane, 2, 10_000).series
    assert series.value.count(None) == 10
    assert series.ts_ms == sorted(series.ts_ms)


def test_tiers_answer_the_same_before_and_after_they_are_built(plane: LocalPlane) -> None:
    asked = [(3, 10_000), (24 * 20, 10_000)]
    before = [ask(plane, hours, points) for hours, points in asked]
    assert plane.store.write_sync(lambda cursor: build(cursor, 100, before=END)) == 100
    assert [ask(plane, hours, points) for hours, points in asked] == before
    while plane.store.write_sync(lambda cursor: build(cursor, 100, before=END)):
        pass
    assert plane.rows("SELECT count(*) FROM dirty") == [(0,)]
    assert [ask(plane, hours, points) for hours, points in asked] == before
    ((count, minutes),) = plane.rows("SELECT count(*), count(DISTINCT bucket) FROM tel_1m")
    assert count == minutes
    plane.store.write_sync(lambda cursor: cursor.execute("INSERT INTO dirty SELECT 1, 1, bucket FROM tel_1m"))
    plane.store.write_sync(lambda cursor: build(cursor, before=END))
    assert plane.rows("SELECT count(*) FROM tel_1m") == [(count,)]
    assert [ask(plane, hours, points) for hours, points in asked] == before


def test_a_track_keeps_its_ends_and_its_corners() -> None:
    lat = np.concatenate((np.linspace(0, 1, 500), np.ones(500)))
    lon = np.concatenate((np.zeros(500), np.linspace(0, 1, 500)))
    kept = _shape(lat, lon, 20)
    assert len(kept) <= 20
    assert (kept[0], kept[-1]) == (0, 999)
    assert min(abs(kept - 499)) <= 1
    assert (np.diff(kept) > 0).all()


def test_tracks(plane: LocalPlane) -> None:
    near = plane.store.read_sync(lambda cursor: track(cursor, 1, 1, START_US, START_US + 3 * HOUR_US, 300))
    assert 250 <= len(near.ts_ms) <= 300
    assert near.lat_deg[0] == pytest.approx(47.001)
    assert near.speed_kmh[0] is None
    while plane.store.write_sync(lambda cursor: build(cursor, before=END)):
        pass
    far = plane.store.read_sync(lambda cursor: track(cursor, 1, 1, START_US - HOUR_US, START_US + 90 * HOUR_US, 300))
    assert len(far.ts_ms) > 150


def test_events_page_by_page(plane: LocalPlane) -> None:
    found, before = [], None
    while page := plane.store.read_sync(
        lambda cursor, key=before: events(cursor, 1, 1, 0, START_US + 9 * HOUR_US, limit=4, before=key)
    ):
        found += page
        before = (page[-1].ts_us, page[-1].stream_no, page[-1].seq, page[-1].ordinal)
    assert [event.seq for event in found] == [180, 150, 120, 90, 60, 30]
    none = plane.store.read_sync(lambda cursor: events(cursor, 1, 1, 0, START_US + 9 * HOUR_US, kinds=["x"]))
    assert none == []


def test_other_tenants_and_vehicles_see_nothing(plane: LocalPlane) -> None:
    for tenant, vehicle in ((2, 1), (1, 2)):
        found = plane.store.read_sync(
            lambda cursor, t=tenant, v=vehicle: history(cursor, t, v, ["engine_rpm"], 0, START_US + 9 * HOUR_US)
        )
        assert found.series[0].ts_ms == []


def test_an_unknown_signal_is_refused(plane: LocalPlane) -> None:
    with pytest.raises(Invalid, match="speeed"):
        ask(plane, 1, 10, ("speeed",))


def test_history_of_a_drive_is_exact(tmp_path: Path) -> None:
    plane = LocalPlane(tmp_path)
    drive = Drive(3, rows=10)
    plane.feed([drive.frame(seq) for seq in range(1, 4)])
    first_us = drive.utc_ms(drive.first_ms(1)) * 1000
    found = plane.store.read_sync(
        lambda cursor: history(cursor, 1, 1, ["lat_deg"], first_us, first_us + 30_000_000, 100)
    )
    assert found.series[0].value == [row[0] for row in plane.rows("SELECT lat_deg FROM tel ORDER BY ts")]
    plane.close()
