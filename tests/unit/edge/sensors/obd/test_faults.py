"""Trouble codes as events: told once, cleared only by the word of the computer that had them."""

from pathlib import Path

from edge.sensors.obd.decode import DtcStatus
from edge.sensors.obd.faults import DtcReport, FaultWatch, calibration_changes, changes, readiness_change
from edge.sensors.obd.memory import Calibration, Memory
from edge.sensors.obd.vehicle import Vehicle
from sync_protocol.signals import catalogue
from tests.support.edge_fakes import FakeClock
from tests.support.elm_fakes import CollectingSink, FakeElm
from tests.support.talking_ecu import TalkingEcu, gearbox, motor, with_vehicle


def report(unread: tuple[DtcStatus, ...] = (), **lists: dict[int, tuple[str, ...]]) -> DtcReport:
    made = DtcReport()
    made.by_status = dict(lists)  # type: ignore[arg-type]  # named as DtcStatus names them
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


def test_other_software_in_a_computer_is_told_and_silence_changes_nothing() -> None:
    memory = Memory()
    first = calibration_changes(memory, {0x7E8: (["A1"], ["11223344"]), 0x7E9: (["T1"], [])})
    assert [(kind, data["ecu"]) for kind, data in first] == [("calibration_read", "7E8"), ("calibration_read", "7E9")]
    assert calibration_changes(memory, {0x7E8: (["A1"], [])}) == []  # it has not summed up yet
    assert calibration_changes(memory, {0x7E9: (["T1"], ["55667788"])}) == []  # and now it has
    assert calibration_changes(memory, {0x7E8: (["A1"], ["99999999"])}) == [
        (
            "calibration_changed",
            {"ecu": "7E8", "ids": ["A1"], "cvns": ["99999999"], "ids_before": ["A1"], "cvns_before": ["11223344"]},
        )
    ]
    assert [kind for kind, _ in calibration_changes(memory, {0x7E9: (["T2"], [])})] == ["calibration_changed"]
    assert memory.calibrations["7E8"] == Calibration(("A1",), ("99999999",))
    memory.know_vehicle("1HGBH41JXMN109186")
    memory.know_vehicle("WP0ZZZ99ZTS390000")
    assert memory.calibrations == {}


def test_readiness_that_changes_has_names() -> None:
    assert readiness_change(0x07E500, 0x07E500) is None
    assert readiness_change(0x07E500, 0x07E504) == {"incomplete": ["evaporative system"], "incomplete_before": []}
    assert readiness_change(0x07E504, 0x27E500) == {
        "incomplete": ["fuel system"], "incomplete_before": ["evaporative system"],
    }  # fmt: skip
    assert readiness_change(0x07E500, 0x07E502) is None  # a test that the vehicle does not have


def test_a_new_code_comes_with_its_freeze_frame_and_nothing_is_read_twice(tmp_path: Path) -> None:
    fake = FakeElm(tmp_path / "obd", {0x7E8: motor(), 0x7E9: gearbox()})
    engine = fake.ecus[0x7E8]
    assert isinstance(engine, TalkingEcu)
    memory, clock, sink, saved = Memory(), FakeClock(), CollectingSink(), []
    bits = catalogue().by_name["monitor_bits"].id

    async def keep() -> None:
        saved.append(dict(memory.dtcs))

    async def test(vehicle: Vehicle) -> None:
        watch = FaultWatch(memory, 60.0, clock.boot_ms, keep)
        watch.saw({bits: 0x07E500}, ())
        await watch.check(vehicle, sink)
        assert sink.kinds() == ["vin_read", "calibration_read", "calibration_read"]
        assert not fake.asked("02")
        engine.dtcs = {3: ["P0301", "P0420"], 7: ["P0301"]}
        await watch.check(vehicle, sink)
        assert len(fake.asked("09")) == 4  # VIN, list, calibrations, checksums: once a connection
        watch.hurry()
        await watch.check(vehicle, sink)
        first, second, third = sink.of("dtc_set")
        assert (first["code"], first["freeze"]["engine_rpm"]) == ("P0301", 1726.0)
        assert (second, third) == (
            {"code": "P0420", "status": "stored"},
            {"code": "P0301", "status": "pending"},
        )
        asked = len(fake.asked("02"))
        watch.hurry()
        await watch.check(vehicle, sink)
        assert len(fake.asked("02")) == asked
        assert saved[-1]["stored"]["7E8"] == ("P0301", "P0420")

        watch.saw({bits: 0x07E504}, ())
        await watch.check(vehicle, sink)
        assert sink.of("readiness_changed") == [{"incomplete": ["evaporative system"], "incomplete_before": []}]

        engine.book["0906"] = "49 06 01 00 00 00 01"
        engine.book["020200"] = "7F 02 11"  # no freeze frame any more: the code is told without
        again = FaultWatch(memory, 60.0, clock.boot_ms)
        await again.check(vehicle, sink)
        assert [data["ecu"] for data in sink.of("calibration_changed")] == ["7E8"]
        assert [data for data in sink.of("dtc_set")[3:] if "freeze" in data] == []
        assert len(sink.of("dtc_set")) == 6

    try:
        with_vehicle(fake, test)
    finally:
        fake.close()
