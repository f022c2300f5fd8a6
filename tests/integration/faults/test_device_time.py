"""UTC steps, drifts, and is never known: device time goes on evenly, the cloud puts each sample where it belongs."""

from pathlib import Path
import time

from cloud.telemetry.timeline import Timeline
from edge.clock import SystemClock
from edge.sampling.config import SamplingConfig
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.sampler import Sampler
from edge.sensors.gps_clock import RELEASED_UTC_MS, GpsClock
from sync_protocol.messages import TimeAnchor
from sync_protocol.signals import catalogue
from tests.support.edge_fakes import FakeClock
from tests.support.fleet import LocalPlane

SPEED = catalogue().by_name["speed_kmh"].id
TEN_YEARS_MS = 10 * 365 * 86_400_000
STREAM = bytes(range(16))
UTC_MS = 1_790_000_000_000


def test_a_system_clock_that_jumps_ten_years_either_way_moves_no_sample(tmp_path: Path) -> None:
    clock = FakeClock(100_000)
    closed: list[ClosedFrame] = []
    sampler = Sampler(SamplingConfig(), clock, closed.append)
    wrong_ms = 0
    for second in range(180):
        wrong_ms = {60: TEN_YEARS_MS, 120: -TEN_YEARS_MS}.get(second, wrong_ms)
        true_ms = UTC_MS + clock.now_ms
        if second % 20 == 0:
            sampler.anchor(TimeAnchor(clock.now_ms, true_ms + wrong_ms, "ntp", 100))
        if second == 170:
            sampler.anchor(TimeAnchor(clock.now_ms, true_ms, "gps", 50))
        sampler.row("obd_1s", clock.now_ms, {SPEED: second % 100})
        clock.pass_s(1)
        sampler.tick()
    sampler.close()
    plane = LocalPlane(tmp_path)
    try:
        plane.feed([frame.encode(STREAM, seq, 1) for seq, frame in enumerate(closed, 1)])
        rows = plane.rows("SELECT epoch_ms(ts), speed_kmh FROM tel ORDER BY ts")
        assert rows == [(UTC_MS + 100_000 + s * 1000, s % 100) for s in range(180)]
        plane.verify()
    finally:
        plane.close()


def test_a_clock_that_drifts_100_ppm_for_a_week_is_held_by_gps() -> None:
    gps, timeline = GpsClock(), Timeline()
    latency_ms, worst_ms, anchors = 120, 0, 0
    for true_ms in range(0, 7 * 86_400_000, 10_000):
        boot_ms = round(true_ms * 1.0001)
        placed = gps.place(RELEASED_UTC_MS + true_ms, boot_ms + latency_ms)
        assert placed.is_believed
        if placed.anchor is not None:
            anchors += 1
            timeline.add(placed.anchor.boot_ms, placed.anchor.utc_ms, placed.anchor.source)
        found = timeline.utc_ms(boot_ms)
        assert found is not None
        worst_ms = max(worst_ms, abs(found - RELEASED_UTC_MS - true_ms))
    print(f"{anchors} anchors in a week, {worst_ms} ms off at worst")
    assert worst_ms <= latency_ms + 61  # 100 ppm of the ten minutes between two anchors is 60 ms
    assert anchors <= 7 * 144 + 1


def test_device_time_is_the_clock_that_goes_on_while_the_machine_is_suspended() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    now = SystemClock().boot_ms()
    assert before <= now <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    uptime_ms = float(Path("/proc/uptime").read_text().split()[0]) * 1000  # counts suspended time by its definition
    assert abs(uptime_ms - now) < 1000
