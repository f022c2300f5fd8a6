"""The adapter's answers, byte for byte, written from the ELM327 data sheet and SAE J1979 and not from the code."""

import pytest

from edge.simulator.ecu import control_units
from edge.simulator.elm327 import Elm327, Latency
from edge.simulator.kinds import KINDS
from edge.simulator.route import load_route
from edge.simulator.vehicle import Vehicle


def a_vehicle(kind: str = "compact") -> Vehicle:
    """1726 rpm, 50 km/h, 83 C, half load, 14.1 V, no codes."""
    vehicle = Vehicle(kind, KINDS[kind], load_route("valley"), "1")
    vehicle.vin = "1M8GDM9AXKP042788"
    vehicle.is_running = True
    vehicle.speed_ms = 50 / 3.6
    vehicle.powertrain.state.rpm = 1726
    vehicle.powertrain.state.load = 0.5
    vehicle.temperatures.coolant_c = 83
    vehicle.temperatures.intake_c = 25
    vehicle.electrics.battery_v = 14.1
    vehicle.run_s = 300
    return vehicle


def an_elm(vehicle: Vehicle, *setup: str, latency: Latency | None = None) -> Elm327:
    elm = Elm327(vehicle, control_units(vehicle), latency) if latency else Elm327(vehicle, control_units(vehicle))
    for command in setup:
        assert elm.respond(command).text == "OK\r\r>"
    return elm


SETTINGS = [
    ("ATZ", "\rELM327 v1.5\r\r>"), ("atz", "\rELM327 v1.5\r\r>"), ("AT Z", "\rELM327 v1.5\r\r>"),
    ("ATWS", "\rELM327 v1.5\r\r>"), ("ATI", "ELM327 v1.5\r\r>"), ("AT@1", "OBDII to RS232 Interpreter\r\r>"),
    ("ATD", "OK\r\r>"), ("ATE0", "OK\r\r>"), ("ATL0", "OK\r\r>"), ("ATL1", "OK\r\n\r\n>"), ("ATS0", "OK\r\r>"),
    ("ATH1", "OK\r\r>"), ("ATCAF0", "OK\r\r>"), ("ATAL", "OK\r\r>"), ("ATST32", "OK\r\r>"), ("ATAT1", "OK\r\r>"),
    ("ATSP0", "OK\r\r>"), ("ATSP6", "OK\r\r>"), ("ATSPA6", "OK\r\r>"), ("ATTP6", "OK\r\r>"), ("ATSH7E0", "OK\r\r>"),
    ("ATSHDA10F1", "OK\r\r>"), ("ATCRA7E8", "OK\r\r>"), ("ATCRA", "OK\r\r>"), ("ATAR", "OK\r\r>"), ("ATPC", "OK\r\r>"),
    ("ATFCSH7E0", "OK\r\r>"), ("ATFCSD300000", "OK\r\r>"), ("ATFCSM1", "OK\r\r>"), ("ATM0", "OK\r\r>"),
    ("ATRV", "14.1V\r\r>"), ("ATIGN", "ON\r\r>"), ("ATDPN", "A0\r\r>"), ("ATDP", "AUTO\r\r>"),
    ("ATXYZ", "?\r\r>"), ("ATSPX", "?\r\r>"), ("HELLO", "?\r\r>"), ("\x7f\x7f", "?\r\r>"), ("", "?\r\r>"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "expected"), SETTINGS)
def test_settings(command: str, expected: str) -> None:
    assert an_elm(a_vehicle()).respond(command).text == expected


REQUESTS = [
    # plain, with spaces, headers off
    ("010C", "41 0C 1A F8 \r\r>"), ("01 0c", "41 0C 1A F8 \r\r>"), ("010C1", "41 0C 1A F8 \r\r>"),
    ("010D", "41 0D 32 \r\r>"), ("0105", "41 05 7B \r\r>"), ("010F", "41 0F 41 \r\r>"), ("0104", "41 04 80 \r\r>"),
    ("011F", "41 1F 01 2C \r\r>"), ("011C", "41 1C 06 \r\r>"), ("0142", "41 42 36 9C \r\r>"),
    ("0101", "41 01 00 07 E5 00 \r\r>"), ("0133", "41 33 60 \r\r>"), ("0151", "41 51 01 \r\r>"),
    ("0100", "41 00 BE 3E B8 13 \r\r>"), ("0120", "41 20 80 07 A0 11 \r\r>"), ("0140", "41 40 FE 9C 80 00 \r\r>"),
    ("010C0D", "41 0C 1A F8 0D 32 \r\r>"),
    ("010C0D050F04", "00C \r0: 41 0C 1A F8 0D 32 \r1: 05 7B 0F 41 04 80 00 \r\r>"),
    ("010C0D050F042", "00C \r0: 41 0C 1A F8 0D 32 \r1: 05 7B 0F 41 04 80 00 \r\r>"),
    ("010C0D050F041", "00C \r0: 41 0C 1A F8 0D 32 \r\r>"),
    ("010C5C0D", "41 0C 1A F8 0D 32 \r\r>"),  # the one it has not is left out
    ("015C", "NO DATA\r\r>"), ("01A6", "NO DATA\r\r>"), ("0160", "NO DATA\r\r>"),
    ("03", "43 00 \r\r>"), ("07", "47 00 \r\r>"), ("0A", "4A 00 \r\r>"), ("020200", "42 02 00 00 00 \r\r>"),
    ("0900", "49 00 55 40 00 00 \r\r>"),
    ("0902", "014 \r0: 49 02 01 31 4D 38 \r1: 47 44 4D 39 41 58 4B \r2: 50 30 34 32 37 38 38 \r\r>"),
    ("0904", "013 \r0: 49 04 01 33 30 44 \r1: 35 34 30 30 30 00 00 \r2: 00 00 00 00 00 00 00 \r\r>"),
    ("0906", "49 06 01 99 B6 DD 10 \r\r>"), ("090B", "NO DATA\r\r>"),
    ("22F190", "NO DATA\r\r>"), ("1003", "NO DATA\r\r>"), ("0", "?\r\r>"),
    ("0102030405060708", "?\r\r>"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "expected"), REQUESTS)
def test_requests(request_: str, expected: str) -> None:
    assert an_elm(a_vehicle(), "ATE0", "ATSP6").respond(request_).text == expected


FORMATS = [
    (("ATS0",), "010C", "410C1AF8\r\r>"),
    (("ATS0",), "0902", "014\r0:490201314D38\r1:47444D3941584B\r2:50303432373838\r\r>"),
    (("ATH1",), "010C", "7E8 04 41 0C 1A F8 00 00 00 \r\r>"),
    (("ATH1", "ATS0"), "010C", "7E804410C1AF8000000\r\r>"),
    (
        ("ATH1",),
        "0902",
        "7E8 10 14 49 02 01 31 4D 38 \r7E8 21 47 44 4D 39 41 58 4B \r7E8 22 50 30 34 32 37 38 38 \r\r>",
    ),
    (("ATCAF0",), "010C", "04 41 0C 1A F8 00 00 00 \r\r>"),
    (("ATH1", "ATSH7E0"), "22F190", "7E8 03 7F 22 11 00 00 00 00 \r\r>"),
    (("ATSH7E0",), "015C", "7F 01 12 \r\r>"),
    (("ATSH7E0",), "090B", "7F 09 12 \r\r>"),
    (("ATSH7E2",), "010C", "NO DATA\r\r>"),
    (("ATCRA7E9",), "010C", "NO DATA\r\r>"),
    (("ATCRA7EX",), "010C", "41 0C 1A F8 \r\r>"),
]


@pytest.mark.parametrize(("setup", "request_", "expected"), FORMATS)
def test_formats(setup: tuple[str, ...], request_: str, expected: str) -> None:
    assert an_elm(a_vehicle(), "ATE0", "ATSP6", *setup).respond(request_).text == expected


def test_linefeeds() -> None:
    elm = an_elm(a_vehicle(), "ATSP6")
    assert elm.respond("ATL1").text == "OK\r\n\r\n>"
    assert elm.respond("010D").text == "41 0D 32 \r\n\r\n>"


def test_two_control_units_answer_a_question_to_all() -> None:
    elm = an_elm(a_vehicle("car"), "ATE0", "ATH1", "ATSP6")
    assert elm.respond("011C").text == "7E8 03 41 1C 06 AA AA AA AA \r7E9 03 41 1C 06 AA AA AA AA \r\r>"
    assert elm.respond("011C1").text == "7E8 03 41 1C 06 AA AA AA AA \r\r>"
    assert elm.respond("010D").text == "7E8 03 41 0D 32 AA AA AA AA \r\r>"
    elm.respond("ATSH7E1")
    assert elm.respond("011C").text == "7E9 03 41 1C 06 AA AA AA AA \r\r>"
    assert elm.respond("03").text == "7E9 02 43 00 AA AA AA AA AA \r\r>"
    assert elm.respond("020200").text == "7E9 03 7F 02 11 AA AA AA AA \r\r>"


def test_each_control_unit_keeps_its_own_codes_and_knows_its_own_software() -> None:
    vehicle = a_vehicle("car")
    elm = an_elm(vehicle, "ATE0", "ATH1", "ATS0", "ATSP6")
    vehicle.troubles.stored = ["P0301", "P0741"]
    assert elm.respond("03").text == "7E804430103 01AAAAAA\r7E90443010741AAAAAA\r\r>".replace(" ", "")
    assert elm.respond("0101").text == "7E80641018107E500AA\r7E90641018104 0000AA\r\r>".replace(" ", "")
    calibration = "49040130344539303630323 74B432039383135".replace(" ", "")
    before = elm.respond("0904").text
    assert before.replace("\r", "").startswith("7E81013" + calibration[:12] + "7E821" + calibration[12:26])
    assert elm.respond("0906").text.count("490601") == 2
    checksums = elm.respond("0906").text
    vehicle.calibration = "04E906027KD 9900"
    assert elm.respond("0904").text != before
    assert elm.respond("0906").text[:20] != checksums[:20]
    assert "7E9" + checksums.split("7E9")[1] == "7E9" + elm.respond("0906").text.split("7E9")[1]


def test_readiness_is_lost_with_the_codes_and_comes_back_by_driving() -> None:
    vehicle = a_vehicle()
    elm = an_elm(vehicle, "ATE0", "ATS0", "ATSP6")
    assert elm.respond("0141").text == "41410007E5A5\r\r>"  # five minutes after the start
    assert elm.respond("04").text == "44\r\r>"
    assert elm.respond("0101").text == "41010007E5E5\r\r>"
    vehicle.troubles.run(800, 9_000, {})
    assert elm.respond("0101").text == "41010007E505\r\r>"


def test_in_use_counters() -> None:
    vehicle = a_vehicle()
    vehicle.odometer_m = 9e6
    elm = an_elm(vehicle, "ATE0", "ATS0", "ATSP6")
    # 20 counts: 800 trips that count and 1000 starts; the catalyst was tested 599 times of 666.
    assert elm.respond("0908").text.startswith("02B\r0:490814032003\r1:E80257029A0000\r")
    assert an_elm(a_vehicle("van"), "ATE0", "ATS0", "ATSP6").respond("090B").text.startswith("023\r0:490B10")


def test_what_does_not_fit_the_buffer_is_told() -> None:
    elm = an_elm(a_vehicle(), "ATE0", "ATS0", "ATSP6", "ATH1")
    whole = elm.respond("010C0D050F04").text
    assert whole == "7E8100C410C1AF80D32\r7E821057B0F41048000\r\r>"
    elm.buffer_bytes = 40
    assert elm.respond("010C0D050F04").text == whole
    elm.buffer_bytes = 39
    assert elm.respond("010C0D050F04").text == "7E8100C410C1AF80D32\rBUFFER FULL\r\r>"


def test_29_bit_identifiers() -> None:
    elm = an_elm(a_vehicle("truck"), "ATE0", "ATH1")
    assert elm.respond("010D").text == "SEARCHING...\r18 DA F1 10 03 41 0D 32 55 55 55 55 \r\r>"
    assert elm.respond("ATDPN").text == "A7\r\r>"
    assert elm.respond("ATDP").text == "AUTO, ISO 15765-4 (CAN 29/500)\r\r>"
    elm.respond("ATSHDA10F1")
    assert elm.respond("22F190").text == "18 DA F1 10 03 7F 22 11 55 55 55 55 \r\r>"


def test_search_once_then_known() -> None:
    elm = an_elm(a_vehicle(), "ATSP0")
    assert elm.respond("010D").text == "SEARCHING...\r41 0D 32 \r\r>"
    assert elm.respond("010D").text == "41 0D 32 \r\r>"
    assert elm.respond("ATDPN").text == "A6\r\r>"
    assert elm.respond("ATSP6").text == "OK\r\r>"
    assert elm.respond("010D").text == "41 0D 32 \r\r>"
    assert elm.respond("ATDPN").text == "6\r\r>"
    assert elm.respond("ATDP").text == "ISO 15765-4 (CAN 11/500)\r\r>"


def test_wrong_protocol_and_ignition_off() -> None:
    vehicle = a_vehicle()
    elm = an_elm(vehicle, "ATSP3")
    assert elm.respond("0100").text == "UNABLE TO CONNECT\r\r>"
    vehicle.has_ignition = vehicle.is_running = False
    vehicle.electrics.battery_v = 12.5
    elm = an_elm(vehicle, "ATSP0")
    assert elm.respond("0100").text == "SEARCHING...\rUNABLE TO CONNECT\r\r>"
    assert elm.respond("ATRV").text == "12.5V\r\r>"
    assert elm.respond("ATIGN").text == "OFF\r\r>"
    vehicle.has_ignition = True
    assert elm.respond("0104").text.startswith("SEARCHING...\r41 04")
    vehicle.has_ignition = False
    assert elm.respond("0104").text == "NO DATA\r\r>"


def test_trouble_codes_of_all_kinds() -> None:
    vehicle = a_vehicle()
    vehicle.troubles.stored = ["P0143", "C0196", "B0234", "U1FFF"]
    vehicle.troubles.pending = ["P0301"]
    vehicle.troubles.permanent = ["P0143"]
    elm = an_elm(vehicle, "ATE0", "ATSP6")
    assert elm.respond("0101").text == "41 01 84 07 E5 00 \r\r>"
    assert elm.respond("03").text == "00A \r0: 43 04 01 43 41 96 \r1: 82 34 DF FF 00 00 00 \r\r>"
    assert elm.respond("07").text == "47 01 03 01 \r\r>"
    assert elm.respond("0A").text == "4A 01 01 43 \r\r>"
    assert elm.respond("04").text == "44 \r\r>"
    assert elm.respond("03").text == "43 00 \r\r>"
    assert elm.respond("0A").text == "4A 01 01 43 \r\r>"


def test_freeze_frame_of_the_first_stored_code() -> None:
    vehicle = a_vehicle()
    elm = an_elm(vehicle, "ATE0", "ATSP6")
    vehicle.on_stored("P0301")
    vehicle.powertrain.state.rpm = 4000
    vehicle.on_stored("P0420")
    assert elm.respond("020200").text == "42 02 00 03 01 \r\r>"
    assert elm.respond("020C00").text == "42 0C 00 1A F8 \r\r>"
    assert elm.respond("020000").text == "42 00 00 78 1A 00 00 \r\r>"
    assert elm.respond("020C000D000200").text == "00C \r0: 42 0C 00 1A F8 0D \r1: 00 32 02 00 03 01 00 \r\r>"
    assert elm.respond("020C01").text == "NO DATA\r\r>"
    assert elm.respond("020C").text == "NO DATA\r\r>"
    assert elm.respond("021000").text == "NO DATA\r\r>"


def test_a_truck_clears_codes_with_the_engine_off_only() -> None:
    vehicle = a_vehicle("truck")
    vehicle.troubles.stored = ["P0401"]
    elm = an_elm(vehicle, "ATE0", "ATSP7")
    assert elm.respond("04").text == "7F 04 22 \r\r>"
    vehicle.is_running = False
    assert elm.respond("04").text == "44 \r\r>"


def test_empty_line_repeats_and_reset_restores() -> None:
    elm = an_elm(a_vehicle(), "ATE0", "ATSP6", "ATH1")
    assert elm.respond("010D").text == elm.respond("").text
    elm.respond("ATZ")
    assert elm.has_echo
    assert elm.respond("010D").text == "SEARCHING...\r41 0D 32 \r\r>"
    assert elm.stopped() == "STOPPED\r\r>"


def test_latency_is_that_of_a_real_adapter() -> None:
    elm = an_elm(a_vehicle(), "ATE0", "ATS0", "ATSP6", latency=Latency())
    assert elm.respond("010D").delay_s > 1.4  # the first contact
    patient, counted = elm.respond("010D"), elm.respond("010D1")
    assert patient.delay_s == pytest.approx(0.025 + 0.060 + (5 + 9) * 10 / 38400)  # the line typed, and the answer
    assert counted.delay_s == pytest.approx(0.025 + (6 + 9) * 10 / 38400)
    assert patient.is_stoppable
    assert not elm.respond("ATRV").is_stoppable
    assert elm.respond("015C").delay_s > 0.2
    elm.respond("ATAT0")
    elm.respond("ATST 19")
    assert elm.respond("010D").delay_s == pytest.approx(0.025 + 0.100 + (5 + 9) * 10 / 38400)
    assert elm.respond("ATZ").delay_s > 0.5
