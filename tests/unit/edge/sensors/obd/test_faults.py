"""Trouble codes as events: told once, cleared only by the word of the computer that had them."""

from edge.sensors.obd.decode import DtcStatus
from edge.sensors.obd.faults import DtcReport, changes
from edge.sensors.obd.memory import Memory


def report(unread: tuple[DtcStatus, ...] = (), **lists: dict[int, tuple[str, ...]]) -> DtcReport:
    made = DtcReport()
    made.by_status = dict(lists)  # type: ignore[arg-type]
    made.unread = dict.fromkeys(unread, "no_data")
    return made


def test_codes_are_told_when_they_come_and_when_they_go() -> None:
    memory = Memory()
    both = report(stored={0x7E8: ("P0143",), 0x7E9: ("P0700", "P0143")}, pending={0x7E8: ()})
    assert changes(memory, both, is_first=False) == [("dtc_set", "P0143", "stored"), ("dtc_set", "P0700", "stored")]
    assert changes(memory, both, is_first=False) == []
    one = report(stored={0x7E8: (), 0x7E9: ("P0143",)}, pending={0x7E8: ("P0420",)})
    assert changes(memory, one, is_first=False) == [
        ("dtc_cleared", "P0700", "stored"),
        ("dtc_set", "P0420", "pending"),
    ]


def test_a_computer_that_says_nothing_keeps_its_codes() -> None:
    memory = Memory()
    changes(memory, report(stored={0x7E8: (), 0x7E9: ("P0700",)}), is_first=False)
    assert changes(memory, report(stored={0x7E8: ()}), is_first=False) == []
    assert changes(memory, report(unread=("pending",), stored={0x7E8: ()}), is_first=False) == []
    assert changes(memory, report(stored={0x7E9: ()}), is_first=False) == [("dtc_cleared", "P0700", "stored")]


def test_the_first_report_repeats_what_may_have_been_lost_with_the_power() -> None:
    memory = Memory(dtcs={"stored": {"7E8": ("P0143", "P0301")}})
    assert changes(memory, report(stored={0x7E8: ("P0301",)}), is_first=True) == [
        ("dtc_set", "P0301", "stored"),
        ("dtc_cleared", "P0143", "stored"),
    ]


def test_another_vehicle_has_other_codes_and_another_adapter_other_abilities() -> None:
    memory = Memory(adapter="ELM327 v1.5", has_multi_pid=True, has_frame_count=False, protocol="6")
    assert memory.know_vehicle("1HGBH41JXMN109186")
    memory.dtcs = {"stored": {"7E8": ("P0143",)}}
    assert not memory.know_vehicle("1HGBH41JXMN109186")
    assert memory.dtcs
    assert memory.know_vehicle("WP0ZZZ99ZTS390000")
    assert not memory.dtcs
    memory.know_adapter("ELM327 v1.5")
    assert memory.has_multi_pid is True
    memory.know_adapter("ELM327 v2.1")
    assert (memory.has_multi_pid, memory.has_frame_count, memory.protocol) == (None, None, "6")
