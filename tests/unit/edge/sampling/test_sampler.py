"""The sampler with a clock that is set by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from edge.sampling.config import SamplingConfig
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.sampler import Sampler
from sync_protocol.codec import decode
from sync_protocol.messages import Mark, TimeAnchor
from sync_protocol.signals import catalogue
from tests.support.edge_fakes import FakeClock

BY_NAME = catalogue().by_name
RPM, SPEED, COOLANT, LOAD = (BY_NAME[name].id for name in ("engine_rpm", "speed_kmh", "coolant_c", "engine_load_pct"))
ODOMETER = BY_NAME["odometer_km"].id


class Bench:
    """A sampler, its clock, the frames that came out, and how often it asked to be ticked."""

    def __init__(self, config: SamplingConfig | None = None, periods_s: dict[str, float] | None = None) -> None:
        self.clock = FakeClock(1_000_000)
        self.frames: list[ClosedFrame] = []
        self.wakes = 0
        self.sampler = Sampler(
            config or SamplingConfig(), self.clock, self.frames.append, periods_s=periods_s, wake=self._woken
        )

    def _woken(self) -> None:
        self.wakes += 1

    def drive(self, seconds: int, **values: int) -> None:
        """A row a second, then a tick."""
        for _ in range(seconds):
            self.sampler.row("obd_1s", self.clock.now_ms, {BY_NAME[name].id: raw for name, raw in values.items()})
            self.clock.pass_s(1)
            self.sampler.tick()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_frame_closes_every_ten_seconds(bench: Bench) -> None:
    bench.drive(25, engine_rpm=8000)
    assert [frame.samples for frame in bench.frames] == [10, 10]
    (group,) = bench.frames[0].groups
    assert group.signal_ids == (RPM,)
    assert group.times_ms.tolist() == [1_000_000 + 1000 * i for i in range(10)]
    decoded = decode(bench.frames[1].encode(b"s" * 16, 7, 3))
    assert (decoded.header.seq, decoded.header.boot, decoded.header.samples) == (7, 3, 10)


def test_nothing_measured_makes_no_frame(bench: Bench) -> None:
    for _ in range(100):
        bench.clock.pass_s(1)
        bench.sampler.tick()
    bench.sampler.close()
    assert bench.frames == []


def test_an_event_closes_the_frame_at_once_and_takes_the_open_rows_along(bench: Bench) -> None:
    bench.drive(3, engine_rpm=8000)
    bench.sampler.event("dtc_set", bench.clock.now_ms, {"code": "P0301"})
    assert bench.wakes == 1
    assert bench.frames == []
    bench.sampler.tick()
    (frame,) = bench.frames
    assert frame.samples == 3
    assert frame.meta.events[0].kind == "dtc_set"


def test_a_large_event_is_cut_and_many_events_close_the_frame(bench: Bench) -> None:
    bench.sampler.event("huge", bench.clock.now_ms, {"text": "x" * 5000})
    for _ in range(120):
        bench.sampler.event("small", -5, {})
    bench.sampler.close()
    assert bench.frames[0].meta.events[0].data == {"is_cut": True}
    assert sum(len(frame.meta.events) for frame in bench.frames) == 121
    assert max(len(frame.meta.events) for frame in bench.frames) <= 100
    assert bench.frames[0].meta.events[1].boot_ms == bench.clock.now_ms


def test_size_closes_a_frame_before_the_codec_would_refuse_it(bench: Bench) -> None:
    for i in range(30_000):
        bench.sampler.row("fast", bench.clock.now_ms + i, {LOAD: (i * 7919) % 256, RPM: (i * 104_729) % 65_536})
    bench.sampler.close()
    assert len(bench.frames) > 5
    for frame in bench.frames:
        frame.encode(b"s" * 16, 1, 1)
    health = bench.sampler.health()
    assert health.is_balanced
    assert health.sent == 60_000


def test_watched_frames_close_every_second_within_the_days_budget() -> None:
    bench = Bench(SamplingConfig(watch_budget_s=5))
    bench.sampler.watch(60)
    bench.drive(30, engine_rpm=8000)
    assert 4 <= len(bench.frames) <= 8
    assert not bench.sampler.is_watched()
    bench.clock.pass_s(86_400)
    bench.sampler.tick()
    bench.sampler.watch(3)
    assert bench.sampler.is_watched()
    bench.drive(4, engine_rpm=8000)
    assert not bench.sampler.is_watched()


def test_impossible_values_are_marked_and_kept(bench: Bench) -> None:
    monoxide = BY_NAME["dtc_count"].id
    for raw in (5, 200, 201, 5, 220):
        bench.sampler.row("obd_10s", bench.clock.now_ms, {monoxide: raw})
        bench.clock.pass_s(1)
    bench.sampler.close()
    (frame,) = bench.frames
    assert frame.samples == 5
    assert frame.meta.marks == (
        Mark(monoxide, 1_001_000, 1_002_000, "out_of_range"),
        Mark(monoxide, 1_004_000, 1_004_000, "out_of_range"),
    )


@pytest.mark.parametrize("signal", catalogue().signals, ids=lambda signal: signal.name)
def test_the_range_check_in_raw_integers_agrees_with_the_catalogue(signal: object) -> None:
    from edge.sampling.sampler import _raw_limits

    low, high = _raw_limits(signal)
    assert low <= high
    for raw in (low, high):
        assert signal.is_in_range(raw)
    for raw in (low - 1, high + 1):
        assert not signal.is_in_range(raw)


def test_marks_of_a_sensor_are_joined_within_a_frame(bench: Bench) -> None:
    for _ in range(5):
        bench.sampler.mark([RPM, SPEED], bench.clock.now_ms, "no_data")
        bench.clock.pass_s(1)
    bench.sampler.mark([RPM], -1, "no_data")
    bench.sampler.close()
    assert bench.frames[0].meta.marks == (
        Mark(RPM, 1_000_000, 1_004_000, "no_data"),
        Mark(SPEED, 1_000_000, 1_004_000, "no_data"),
    )


def test_a_signal_that_stays_away_is_marked_when_missed_and_when_back(bench: Bench) -> None:
    bench.drive(1, engine_rpm=8000)
    for _ in range(20):
        bench.clock.pass_s(1)
        bench.sampler.tick()
    assert bench.sampler.is_stale(RPM)
    bench.drive(1, engine_rpm=8000)
    assert not bench.sampler.is_stale(RPM)
    bench.sampler.close()
    marks = [mark for frame in bench.frames for mark in frame.meta.marks]
    assert marks == [Mark(RPM, 1_000_001, 1_006_000, "stale"), Mark(RPM, 1_000_001, 1_020_999, "stale")]


def test_patience_follows_a_configured_period() -> None:
    bench = Bench(periods_s={"engine_rpm": 30})
    bench.drive(1, engine_rpm=8000)
    bench.clock.pass_s(80)
    bench.sampler.tick()
    assert not bench.sampler.is_stale(RPM)
    bench.clock.pass_s(20)
    bench.sampler.tick()
    assert bench.sampler.is_stale(RPM)


def test_rows_out_of_order_repeated_or_absurd_are_accounted_for(bench: Bench) -> None:
    now = bench.clock.now_ms
    bench.sampler.row("obd_1s", now + 1000, {RPM: 1})
    bench.sampler.row("obd_1s", now, {RPM: 2})
    bench.sampler.row("obd_1s", now, {RPM: 3})
    bench.sampler.row("obd_1s", now + 86_400_000, {RPM: 4})
    bench.sampler.row("obd_1s", now, {9999: 4})
    bench.sampler.row("obd_1s", now, {9999: 4, LOAD: 1})
    assert bench.sampler.latest[RPM] == (now + 1000, 1)
    bench.sampler.close()
    (group,) = bench.frames[0].groups
    assert group.times_ms.tolist() == [now, now + 1000]
    assert group.values[1].tolist() == [3, 1]
    health = bench.sampler.health()
    assert health.dropped == {"same_instant": 1, "bad_time": 1, "unknown_signal": 2}
    assert health.is_balanced


def test_a_signal_of_two_groups_stays_in_its_first(bench: Bench) -> None:
    """The engine dies while the receiver still sees the vehicle roll: distance comes from either."""
    bench.drive(2, speed_kmh=36)
    gps = BY_NAME["gps_speed_kmh"].id
    for _ in range(9):
        bench.sampler.row("gps", bench.clock.now_ms, {gps: 360})
        bench.clock.pass_s(1)
    bench.sampler.close()
    frame = decode(bench.frames[0].encode(b"s" * 16, 1, 1))
    assert [group.signal_ids for group in frame.groups] == [(SPEED, ODOMETER), (gps,)]


def test_only_news_about_time_is_sent(bench: Bench) -> None:
    sampler, now = bench.sampler, bench.clock.now_ms
    assert sampler.utc(now) == (None, None)
    sampler.anchor(TimeAnchor(now, 5_000, "guess", 10**9))
    assert sampler.utc(now) == (None, "guess")
    sampler.anchor(TimeAnchor(now, 1_700_000_000_000, "rtc", 60_000))
    sampler.cloud_time(now, 1_700_000_000_500, 800)
    sampler.anchor(TimeAnchor(now + 1, 1_700_000_000_002, "gps", 50))
    sampler.anchor(TimeAnchor(now + 1000, 1_700_000_001_001, "gps", 50))  # nothing new
    sampler.cloud_time(now + 2000, 1_700_000_009_000, 50)  # worse than the receiver
    sampler.anchor(TimeAnchor(now + 3000, 1_700_000_007_000, "gps", 50))  # a step
    sampler.anchor(TimeAnchor(now + 603_000, 1_700_000_607_000, "gps", 50))  # ten minutes
    sampler.anchor(TimeAnchor(-5, 0, "gps", 50))
    sampler.close()
    assert [anchor.source for anchor in bench.frames[0].meta.anchors] == ["guess", "rtc", "cloud", "gps", "gps", "gps"]
    assert sampler.utc(now + 604_000) == (1_700_000_608_000, "gps")
    sampler.anchor(TimeAnchor(now + 1_900_000, 1_700_001_904_000, "ntp", 50))  # the receiver has been silent for long
    assert sampler.utc(now + 1_900_000)[1] == "ntp"


rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(-2000, 20_000),
        st.dictionaries(st.sampled_from([RPM, SPEED, COOLANT, LOAD, 131, 9999]), st.integers(0, 255), max_size=5),
    ),
    max_size=60,
)


@given(rows)
@settings(deadline=None, max_examples=100)
def test_whatever_comes_every_sample_is_accounted_for_and_every_frame_can_be_read(
    given_rows: list[tuple[str, int, dict[int, int]]],
) -> None:
    bench = Bench()
    start = bench.clock.now_ms
    for group, offset_ms, values in given_rows:
        bench.sampler.row(group, start + offset_ms, values)
        bench.clock.pass_s(0.3)
        bench.sampler.tick()
        assert bench.sampler.health().is_balanced
    bench.sampler.close()
    decoded = [decode(frame.encode(b"s" * 16, i + 1, 1)) for i, frame in enumerate(bench.frames)]
    assert sum(frame.header.samples for frame in decoded) == bench.sampler.health().sent
    assert bench.sampler.health().is_balanced
