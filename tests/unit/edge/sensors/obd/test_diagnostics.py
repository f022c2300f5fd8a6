"""The bytes of freeze frames, readiness, identities and counters; damaged ones mean nothing."""

import pytest

from edge.sensors.obd.answer import Message
from edge.sensors.obd.diagnostics import (
    Monitor,
    UseCounters,
    frozen_code,
    info_types,
    information,
    label,
    readiness,
    use_counters,
)
from edge.sensors.obd.errors import BadAnswer
from sync_protocol.signals import catalogue

SIZES = catalogue().pid_bytes


def test_readiness_of_a_petrol_engine() -> None:
    found = readiness(0x7E8, bytes.fromhex("83 27 E5 84"), bytes.fromhex("00 07 61 60"))
    assert found[:4] == (0x7E8, True, 3, "spark")
    assert found.monitors == (
        Monitor("misfire", True, "complete"),
        Monitor("fuel system", False, "complete"),
        Monitor("comprehensive components", True, "complete"),
        Monitor("catalyst", True, "complete"),
        Monitor("evaporative system", False, "disabled"),
        Monitor("oxygen sensor", True, "incomplete"),
        Monitor("oxygen sensor heater", True, "incomplete"),
        Monitor("EGR or VVT", False, "disabled"),
    )


def test_readiness_of_a_diesel_engine_and_of_a_gearbox() -> None:
    found = readiness(0x7E8, bytes.fromhex("00 0F EB 42"), None)
    assert (found.is_mil_on, found.dtc_count, found.ignition) == (False, 0, "compression")
    assert {m.name: m.is_complete for m in found.monitors[3:]} == {
        "NMHC catalyst": True, "NOx or SCR aftertreatment": False, "boost pressure": True, "exhaust gas sensor": True,
        "particulate filter": False, "EGR or VVT": True,
    }  # fmt: skip
    assert {m.cycle for m in found.monitors} == {None}
    assert readiness(0x7E9, bytes.fromhex("00 04 00 00"), None).monitors == (
        Monitor("comprehensive components", True, None),
    )


def test_which_code_has_a_freeze_frame() -> None:
    assert frozen_code(bytes.fromhex("42 02 00 03 01")) == "P0301"
    assert frozen_code(bytes.fromhex("42 02 00 00 00")) is None
    for wrong in ("42 02 00 03", "42 02 00 03 01 00", "42 0C 00 03 01", "42 02 01 03 01", "42 02"):
        with pytest.raises(BadAnswer):
            frozen_code(bytes.fromhex(wrong))


def test_which_information_there_is() -> None:
    found = [Message(0x7E8, bytes.fromhex("49 00 55 40 00 00")), Message(0x7E9, bytes.fromhex("49 00 14 00 00 00"))]
    assert info_types(found, is_can=True) == {0x7E8: {2, 4, 6, 8, 10}, 0x7E9: {4, 6}}
    assert info_types([Message(0x10, bytes.fromhex("49 00 01 FC 00 00 00"))], is_can=False) == {0x10: set(range(1, 7))}
    for wrong in ("49 00 55 40 00", "49 02 55 40 00 00", "49 00 01 55 40 00 00"):
        with pytest.raises(BadAnswer):
            info_types([Message(0x7E8, bytes.fromhex(wrong))], is_can=True)
    with pytest.raises(BadAnswer):
        info_types([Message(0x10, bytes.fromhex("49 00 02 FC 00 00 00"))], is_can=False)


def test_calibrations_of_several_computers() -> None:
    ids = b"312J6000".ljust(16, b"\0") + b"A4701000".ljust(16, b"\0")
    found = [Message(0x7E8, b"\x49\x04\x02" + ids), Message(0x7E9, b"\x49\x04\x01" + b"TCM-1".ljust(16, b"\0"))]
    read = information(found, 0x04, 16, is_can=True)
    assert {ecu: [label(item) for item in items] for ecu, items in read.items()} == {
        0x7E8: ["312J6000", "A4701000"], 0x7E9: ["TCM-1"],
    }  # fmt: skip
    cvn = information([Message(0x7E8, bytes.fromhex("49 06 02 69 53 CD 4B 61 1F 6E F2"))], 0x06, 4, is_can=True)
    assert [item.hex().upper() for item in cvn[0x7E8]] == ["6953CD4B", "611F6EF2"]


@pytest.mark.parametrize(
    "data",
    ["49 06 02 69 53 CD 4B", "49 06 01 69 53 CD", "49 06 01", "49 06", "49 04 01 69 53 CD 4B", "49 06 00 69 53 CD 4B",
     "49 06 01 69 53 CD 4B 00"],
)  # fmt: skip
def test_information_that_does_not_come_out_even_is_refused(data: str) -> None:
    with pytest.raises(BadAnswer):
        information([Message(0x7E8, bytes.fromhex(data))], 0x06, 4, is_can=True)


def test_information_in_numbered_lines() -> None:
    raw = b"JMB*36761500\0\0\0\0"
    lines = [Message(0x11, b"\x49\x04" + bytes([n + 1]) + raw[n * 4 : n * 4 + 4]) for n in range(4)]
    assert information(lines, 0x04, 16, is_can=False) == {0x11: [raw]}
    for wrong in (lines[:3], lines[1:], [lines[1], lines[0], *lines[2:]], [*lines, lines[3]]):
        with pytest.raises(BadAnswer):
            information(wrong, 0x04, 16, is_can=False)
    with pytest.raises(BadAnswer):
        information([*lines[:1], *lines[:1]], 0x04, 4, is_can=True)


def test_what_is_not_text_is_shown_as_bytes() -> None:
    assert label(b"ECM\0-EngineControl\0\0") == "ECM-EngineControl"
    assert label(b"\x01\x02" + b"A" * 14) == "0x0102" + "41" * 14
    assert label(bytes(4)) == "0x00000000"


def test_counters_have_names() -> None:
    counts = [24, 154, 17, 24, 0, 0, 20, 24, 0, 0, 36, 24, 0, 0, 0, 0, 3, 4, 0, 0]
    found = use_counters([n.to_bytes(2, "big") for n in counts], "spark")
    assert (found.conditions_count, found.ignition_count, len(found.monitors)) == (24, 154, 9)
    assert found.monitors[0] == ("catalyst bank 1", 17, 24)
    assert found.monitors[4] == ("EGR or VVT", 36, 24)
    assert found.monitors[7] == ("secondary oxygen sensor bank 1", 3, 4)
    diesel = use_counters([n.to_bytes(2, "big") for n in range(16)], "compression")
    assert diesel == UseCounters("compression", 0, 1, diesel.monitors)
    assert diesel.monitors[-1] == ("boost pressure", 14, 15)
    for wrong in (2, 15, 17, 18):
        with pytest.raises(BadAnswer):
            use_counters([bytes(2)] * wrong, "spark")
