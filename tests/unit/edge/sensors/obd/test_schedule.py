"""The grid, the groups, and whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from edge.sensors.obd.schedule import Group, batches, groups_of, owners
from sync_protocol.signals import catalogue

NAMES = catalogue().by_name


def test_groups_follow_the_catalogue_and_the_configuration_goes_before() -> None:
    signals = [NAMES[n] for n in ("speed_kmh", "engine_rpm", "coolant_c", "dtc_count", "monitor_bits", "battery_v")]
    groups = groups_of(signals, {"coolant_c": 10.0, "engine_rpm": 0.5})
    assert [(g.name, g.period_ms, [s.name for s in g.signals]) for g in groups] == [
        ("obd_0.5s", 500, ["engine_rpm"]),
        ("obd_1s", 1000, ["speed_kmh"]),
        ("obd_10s", 10_000, ["coolant_c", "dtc_count", "battery_v"]),
        ("obd_60s", 60_000, ["monitor_bits"]),
    ]
    assert groups[2].pids == [0x01, 0x05]


@given(st.lists(st.integers(0, 5_000), max_size=60), st.integers(0, 2**40))
def test_instants_are_on_the_grid_rise_and_are_never_late(waits_ms: list[int], now_ms: int) -> None:
    group, taken = Group(1.0, [NAMES["speed_kmh"]]), []
    for wait_ms in waits_ms:
        now_ms += wait_ms
        instant_ms = group.take_due(now_ms)
        if instant_ms is not None:
            assert instant_ms % 1000 == 0
            assert 0 <= now_ms - instant_ms < 1000
            taken.append(instant_ms)
        assert group.next_ms(now_ms) > now_ms
    assert taken == sorted(set(taken))


def test_a_group_waits_for_its_first_instant() -> None:
    group = Group(1.0, [])
    assert group.take_due(1_500) is None
    assert group.take_due(1_999) is None
    assert group.take_due(2_003) == 2_000
    assert group.take_due(2_999) is None
    assert group.take_due(7_100) == 7_000  # five instants were missed: none is made up


def test_requests_are_of_one_computer_and_the_most_wanted_come_first() -> None:
    signals = [s for pid in (0x04, 0x05, 0x0C, 0x0D, 0x0F, 0x11, 0x42, 0xA4) for s in catalogue().by_pid[pid]]
    pids = Group(1.0, signals).pids
    assert pids == [0x0D, 0x0C, 0x04, 0x11, 0x05, 0x0F, 0x42, 0xA4]
    owner = dict.fromkeys(pids, 0x7E8) | {0xA4: 0x7E9}
    assert batches(pids, owner, 6) == [(0x0D, 0x0C, 0x04, 0x11, 0x05, 0x0F), (0x42,), (0xA4,)]
    assert batches(pids, owner, 1) == [(pid,) for pid in pids]
    assert owners({0x7E9: {0x0D, 0xA4}, 0x7E8: {0x0D, 0x0C}}) == {0x0D: 0x7E8, 0x0C: 0x7E8, 0xA4: 0x7E9}


def test_requests_that_found_no_time_are_first_in_the_next_round() -> None:
    group = Group(1.0, [])
    group.batches = [(n,) for n in range(6)]
    asked = []
    for _ in range(5):
        asked.append([n for (n,) in group.round()[:3]])
        group.asked(3)
    assert asked == [[0, 1, 2], [0, 3, 4], [0, 5, 1], [0, 2, 3], [0, 4, 5]]
    group.split((0,))
    group.batches = [(1, 2), (3,)]
    group.split((1, 2))
    group.drop((3,))
    assert group.batches == [(1,), (2,)]
