"""Fuel rate and distance."""

import pytest

from edge.sampling.config import SamplingConfig
from edge.sampling.derive import (
    FUEL_RATE,
    FUEL_TYPE,
    GPS_SPEED,
    LAMBDA,
    MAF,
    RATE_GS,
    RATE_LH,
    SPEED,
    FuelRate,
    Odometer,
)
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.playback import Playback
from sync_protocol.messages import TimeAnchor


def lh(raw: int | None) -> float | None:
    return None if raw is None else FUEL_RATE.value(raw)


def test_the_best_source_counts() -> None:
    rate = FuelRate("petrol")
    values = {RATE_LH.id: RATE_LH.raw(4.2), RATE_GS.id: RATE_GS.raw(1.0), MAF.id: MAF.raw(10.0)}
    assert lh(rate.raw(values)) == pytest.approx(4.2)
    del values[RATE_LH.id]
    assert lh(rate.raw(values)) == pytest.approx(3600 / 745, abs=0.01)
    del values[RATE_GS.id]
    assert lh(rate.raw(values)) == pytest.approx(10 / 14.7 * 3600 / 745, abs=0.01)
    assert rate.raw({SPEED: 5}) is None


def test_a_lean_command_burns_less() -> None:
    rate = FuelRate("petrol")
    values = {MAF.id: MAF.raw(14.7), LAMBDA.id: LAMBDA.raw(2.0)}
    assert lh(rate.raw(values)) == pytest.approx(0.5 * 3600 / 745, abs=0.01)


def test_the_engine_computer_says_what_it_burns() -> None:
    rate = FuelRate(None)
    assert rate.raw({MAF.id: MAF.raw(10.0)}) is not None
    assert rate.raw({MAF.id: MAF.raw(10.0), FUEL_TYPE: 4}) is None
    assert lh(rate.raw({RATE_GS.id: RATE_GS.raw(1.0)})) == pytest.approx(3600 / 835, abs=0.01)
    assert FuelRate(None).raw({FUEL_TYPE: 8, RATE_LH.id: 5}) is None
    assert FuelRate("diesel").raw({MAF.id: 1000, FUEL_TYPE: 1}) is None


def test_distance_is_speed_over_time_and_starts_where_it_stopped() -> None:
    odometer = Odometer(12_345)
    for second in range(101):
        raw = odometer.raw(second * 1000, {SPEED: 36})
    assert raw == 12_345 + 100
    assert odometer.total_raw == raw


def test_a_pause_adds_nothing_and_rows_out_of_order_do_not_count_back() -> None:
    odometer = Odometer(0)
    odometer.raw(0, {SPEED: 100})
    odometer.raw(60_000, {SPEED: 100})
    odometer.raw(59_000, {SPEED: 100})
    assert odometer.total_raw == 0
    assert odometer.raw(61_000, {SPEED: 100}) == 2
    assert odometer.raw(62_000, {}) is None


def test_the_receiver_counts_only_while_the_engine_gives_no_speed() -> None:
    odometer = Odometer(0)
    for second in range(10):
        odometer.raw(second * 1000, {SPEED: 36})
        assert odometer.raw(second * 1000 + 500, {GPS_SPEED.id: GPS_SPEED.raw(72)}) is None
    assert odometer.total_raw == 9
    for second in range(20, 31):
        odometer.raw(second * 1000, {GPS_SPEED.id: GPS_SPEED.raw(36)})
    assert odometer.total_raw == 19


def test_playback_closes_frames_in_the_time_of_the_recording() -> None:
    frames: list[ClosedFrame] = []
    playback = Playback(SamplingConfig(), frames.append)
    playback.anchor(TimeAnchor(50_000_000, 1_700_000_000_000, "gps", 50))
    for second in range(30):
        playback.row("obd_1s", 50_000_000 + second * 1000, {SPEED: 36})
    playback.mark([SPEED], 50_030_000, "no_data")
    playback.event("obd_lost", 50_031_000, {"reason": "ignition"})
    playback.sampler.close()
    assert [frame.samples for frame in frames] == [20, 20, 20, 0]
    assert frames[-1].meta.events[0].kind == "obd_lost"
