"""GPS time against device time."""

from hypothesis import given
from hypothesis import strategies as st

from edge.sensors.gps_clock import BELIEVED_FOR_MS, RELEASED_UTC_MS, GpsClock

UTC0 = RELEASED_UTC_MS + 1_000_000


def test_an_anchor_at_first_and_every_ten_minutes() -> None:
    clock = GpsClock()
    anchors = [p.anchor for n in range(1500) if (p := clock.place(UTC0 + n * 1000, 5_000 + n * 1000)).anchor]
    assert [(a.boot_ms, a.utc_ms) for a in anchors if a] == [
        (5_000 + n * 1000, UTC0 + n * 1000) for n in (0, 600, 1200)
    ]


def test_a_step_of_the_receiver_gives_an_anchor_once_it_stays() -> None:
    for step_ms in (3_600_000, -700, 900, -86_400_000 // 100):
        clock = GpsClock()
        for n in range(20):
            clock.place(UTC0 + n * 1000, n * 1000)
        found = [clock.place(UTC0 + n * 1000 + step_ms, n * 1000).anchor for n in range(20, 40)]
        assert [n for n, anchor in enumerate(found) if anchor] == [2], step_ms


def test_a_single_leap_gives_none() -> None:
    clock = GpsClock()
    leaps = [UTC0 + n * 1000 + (5_000 if n == 10 else 0) for n in range(30)]
    assert [n for n, utc in enumerate(leaps) if clock.place(utc, n * 1000).anchor] == [0]


def test_fixes_that_come_all_at_once_stand_at_their_own_seconds() -> None:
    clock = GpsClock()
    for n in range(10):
        clock.place(UTC0 + n * 1000, 100 + n * 1000)
    late = [clock.place(UTC0 + n * 1000, 20_100) for n in range(10, 21)]
    assert [p.boot_ms for p in late[:-1]] == [100 + n * 1000 for n in range(10, 20)]
    assert late[-1].boot_ms == 20_100
    assert not any(p.anchor for p in late)


@given(st.lists(st.tuples(st.integers(-(2**45), 2**45), st.integers(0, 10_000))))
def test_instants_always_rise_and_anchors_are_always_believable(steps: list[tuple[int, int]]) -> None:
    clock, now_ms, last_ms = GpsClock(), 0, -1
    for shift_ms, wait_ms in steps:
        now_ms += wait_ms
        placed = clock.place(UTC0 + shift_ms, now_ms)
        assert placed.boot_ms > last_ms
        last_ms = placed.boot_ms
        if placed.anchor:
            assert RELEASED_UTC_MS <= placed.anchor.utc_ms <= RELEASED_UTC_MS + BELIEVED_FOR_MS
            assert placed.anchor.boot_ms == now_ms
