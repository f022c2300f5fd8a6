"""A scan in virtual time, of vehicles that announce falsely, answer late or refuse, and the profile made of it."""

from collections.abc import Callable
import csv

import pytest

from edge.scanning import ScanItem, scan_port
from edge.sensors.obd.answer import Bus, messages
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.makes import make_of
from edge.sensors.obd.profile import Profile, parse_profile
from edge.sensors.obd.profile_writing import profile_name, profile_toml
from edge.sensors.obd.scan_report import ScanProgress, ScanReport
from edge.vehicle_answers import Unreached
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import VIN, FakeEcu, engine, iso_tp
from tests.support.loop_elm import LoopElm
from tests.support.real_data import require_data
from tests.support.virtual_loop import run_virtual

Prepare = Callable[[LoopElm], None]


def scanned(prepare: Prepare = lambda elm: None, ecus: dict[int, FakeEcu] | None = None) -> list[ScanItem]:
    async def body() -> list[ScanItem]:
        elm = LoopElm(ecus)
        elm.latency_s = 0.03
        prepare(elm)
        return [item async for item in scan_port(ObdConfig(port="/dev/milepost-obd"), elm.open)]

    return run_virtual(lambda loop: body())


def report_of(items: list[ScanItem]) -> ScanReport:
    last = items[-1]
    assert isinstance(last, ScanReport), last
    assert all(isinstance(item, ScanProgress) for item in items[:-1])
    return last


def profile_of(report: ScanReport) -> tuple[Profile, str]:
    text = profile_toml(report)
    return parse_profile(text, "test"), text


class Odd(FakeEcu):
    """Announces a barometer that it has not, and has an oil temperature that it does not announce."""

    def answer(self, request: bytes) -> bytes | None:
        if request[0] == 1 and 0x33 in request[1:]:
            return None
        if request == b"\x01\x5c":
            return b"\x41\x5c\x82"
        return super().answer(request)


def test_what_a_vehicle_answers_and_how_fast() -> None:
    items = scanned()
    report = report_of(items)
    assert (report.wmi, report.make, report.protocol) == (VIN[:3], make_of(VIN), "6")
    assert (report.adapter, report.battery_v, report.engine_rpm) == ("ELM327 v1.5", 14.1, 2000)
    assert {finding.pid for finding in report.found("answered")} == {f"{pid:02X}" for pid in engine().pids}
    assert [(one.ecu, len(one.pids)) for one in report.computers] == [("7E8", len(engine().pids))]
    speed = next(finding for finding in report.pids if finding.pid == "0D")
    assert (speed.values, speed.answer_ms, speed.lost_count) == ({"speed_kmh": 50.0}, pytest.approx(30, abs=2), 0)
    assert (report.pids_per_request, report.fits, report.periods_s) == (6, True, {})
    assert {item.doing for item in items if isinstance(item, ScanProgress)} >= {"announced PIDs"}
    profile, text = profile_of(report)
    assert profile.match.wmis == (VIN[:3],)
    assert (profile.quirks.protocol, profile.quirks.has_multi_pid, profile.pids_to_skip) == ("6", None, ())
    assert VIN not in text
    assert profile_name(report) == "honda_1hg"


def test_false_announcements_are_skipped_and_hidden_pids_left_to_a_person() -> None:
    report = report_of(scanned(ecus={0x7E8: Odd({**engine().pids, 0x33: b"\x65"}, {}, VIN)}))
    assert [(finding.pid, finding.lost_count) for finding in report.found("unanswered")] == [("33", 3)]
    (hidden,) = report.found("unannounced")
    assert (hidden.pid, hidden.values) == ("5C", {"oil_c": 90.0})
    profile, text = profile_of(report)
    assert (profile.pids_to_skip, profile.pids_to_ask) == (("33",), ())
    assert "#   5C: oil_c 90 celsius" in text
    assert parse_profile(text.replace("#? pids_to_ask", "pids_to_ask"), "test").pids_to_ask == ("5C",)


def test_filler_is_pointed_out_and_full_load_is_not() -> None:
    report = report_of(scanned(ecus={0x7E8: FakeEcu({**engine().pids, 0x04: b"\xff", 0x0F: b"\xff"}, {}, VIN)}))
    assert {name for finding in report.pids for name in finding.doubtful} == {"intake_air_c"}
    profile, text = profile_of(report)
    assert profile.skip == ()
    assert '#? skip = ["intake_air_c"]' in text


def test_the_shipped_profile_of_the_fuel_is_the_beginning() -> None:
    pids = {**engine().pids, 0x51: b"\x04", 0x06: b"\xff", 0x5C: b"\x82"}
    report = report_of(scanned(ecus={0x7E8: FakeEcu(pids, {}, VIN)}))
    assert (report.base, report.skip, report.periods_s) == ("generic_diesel", ("short_trim_1_pct",), {"oil_c": 5})
    profile, _ = profile_of(report)
    assert (profile.skip, dict(profile.periods_s)) == (("short_trim_1_pct",), {"oil_c": 5})
    assert profile.match.fuel_types == (4,)


def test_a_slow_adapter_without_several_pids_gets_longer_periods() -> None:
    def slow(elm: LoopElm) -> None:
        elm.latency_s, elm.has_multi_pid, elm.has_frame_count = 0.11, False, False

    report = report_of(scanned(slow))
    assert (report.has_multi_pid, report.pids_per_request) == (False, 1)
    assert report.load <= 0.7
    assert report.periods_s["coolant_c"] > 1
    assert "speed_kmh" not in report.periods_s
    profile, text = profile_of(report)
    assert profile.quirks.has_multi_pid is None  # another adapter may pass them
    assert "#? has_multi_pid = false" in text


def test_batches_that_fail_are_a_quirk_of_the_vehicle() -> None:
    def at_most_two(elm: LoopElm) -> None:
        def answer(command: str) -> bytes | None:
            is_long = command.startswith("01") and len(command) > len("010C0D1")
            return command.encode() + b"\rNO DATA\r\r>" if is_long else None

        elm.override = answer

    profile, _ = profile_of(report_of(scanned(at_most_two)))
    assert profile.quirks.has_multi_pid is False


def test_an_answer_that_needs_a_longer_wait() -> None:
    def hesitant(elm: LoopElm) -> None:
        def answer(command: str) -> bytes | None:
            waits = [c for c in elm.received if c.startswith("ATST")]
            is_patient = bool(waits) and int(waits[-1][4:], 16) * 4 >= 700
            if command.startswith("010F") and not is_patient:
                return command.encode() + b"\rNO DATA\r\r>"
            return None

        elm.override = answer

    report = report_of(scanned(hesitant))
    assert not report.found("unanswered")
    assert (report.answer_timeout_ms, report.adaptive_timing) == (720, None)
    profile, _ = profile_of(report)
    assert profile.quirks.answer_timeout_ms == 720


def test_a_late_answer_that_adaptive_timing_cuts_off() -> None:
    def hesitant(elm: LoopElm) -> None:
        def answer(command: str) -> bytes | None:
            waits = [c for c in elm.received if c.startswith("ATST")]
            is_adaptive = [c for c in elm.received if c.startswith("ATAT")][-1:] != ["ATAT0"]
            if command.startswith("010F") and (is_adaptive or not waits or int(waits[-1][4:], 16) * 4 < 400):
                return command.encode() + b"\rNO DATA\r\r>"
            return None

        elm.override = answer

    report = report_of(scanned(hesitant))
    assert (report.answer_timeout_ms, report.adaptive_timing) == (400, 0)
    assert not report.found("unanswered")


def test_an_older_bus() -> None:
    report = report_of(scanned(lambda elm: setattr(elm, "protocol", "3"), {0x10: engine()}))
    assert (report.protocol_name, report.pids_per_request, report.is_padded) == ("ISO 9141-2", 1, False)
    assert {finding.pid for finding in report.found("answered")} == {f"{pid:02X}" for pid in engine().pids}
    assert profile_of(report)[0].quirks.protocol == "3"


def test_the_adapter_waits_as_before_when_the_scan_is_over() -> None:
    tuned: list[str] = []

    def silent(elm: LoopElm) -> None:
        elm.override = lambda command: (
            tuned.append(command)
            if command.startswith(("ATAT", "ATST"))
            else command.encode() + b"\rNO DATA\r\r>"
            if command.startswith("010F")
            else None
        )

    report = report_of(scanned(silent))
    assert [finding.pid for finding in report.found("unanswered")] == ["0F"]
    assert (tuned[-2:], report.answer_timeout_ms) == (["ATAT1", "ATST32"], None)


def test_a_vehicle_without_a_vin_is_chosen_by_name() -> None:
    report = report_of(scanned(ecus={0x7E8: FakeEcu(engine().pids)}))
    profile, _ = profile_of(report)
    assert (report.wmi, profile.match.only_by_name, profile_name(report)) == (None, True, "scanned")


@pytest.mark.parametrize(
    ("prepare", "words", "is_asleep"),
    [
        (lambda elm: elm.unplug(), "no such file", False),
        (lambda elm: setattr(elm, "bus_text", "UNABLE TO CONNECT"), "no computer of the vehicle", True),
        (lambda elm: setattr(elm, "bus_text", "NO DATA"), "ELM327 v1.5, 14.1 V", True),
    ],
)
def test_why_nothing_was_scanned(prepare: Prepare, words: str, is_asleep: bool) -> None:
    last = scanned(prepare)[-1]
    assert isinstance(last, Unreached)
    assert words in last.unreached
    assert last.is_asleep is is_asleep


def test_a_vehicle_that_falls_asleep_meanwhile_ends_the_scan() -> None:
    def falling_asleep(elm: LoopElm) -> None:
        elm.override = lambda command: (
            command.encode() + b"\rNO DATA\r\r>" if len(elm.received) > 60 and not command.startswith("AT") else None
        )

    last = scanned(falling_asleep)[-1]
    assert isinstance(last, Unreached)
    assert "no_data" in last.unreached


def test_two_computers() -> None:
    gearbox = FakeEcu({0x01: bytes.fromhex("00040000"), 0xA4: b"\x00\x00\x04\x00"})
    report = report_of(scanned(ecus={0x7E8: engine(), 0x7E9: gearbox}))
    assert {(f.pid, f.ecu) for f in report.found("answered")} >= {("01", "7E8"), ("A4", "7E9"), ("0C", "7E8")}
    assert report.is_padded == (len(iso_tp(0x7E8, b"\x41")[0]) == 19)


@pytest.mark.real_data
def test_real_answers_give_a_profile() -> None:
    path = require_data("elm327", "obdb-toyota-4runner", "responses_mode01.csv")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["command_id"].startswith("7E0.01")]
    answers = {
        int(row["command_id"].removeprefix("7E0.01"), 16): messages(row["response_hex"].split("|"), Bus("6"))[0].data
        for row in rows
    }
    known = {pid: data[2:] for pid, data in answers.items() if len(data) == 2 + catalogue().pid_bytes.get(pid, -3)}
    report = report_of(scanned(ecus={0x7E8: FakeEcu(known, {}, "JTEBU5JR1D5123456")}))
    assert {int(finding.pid, 16) for finding in report.found("answered")} == known.keys() & catalogue().by_pid.keys()
    assert len(report.found("answered")) > 20
    assert (report.make, report.fits) == ("Toyota", True)
    for finding in report.pids:
        assert all(catalogue().by_name[name].min <= value for name, value in finding.values.items())
    assert not [name for finding in report.pids for name in finding.doubtful]  # no false alarm
    assert profile_of(report)[0].match.wmis == ("JTE",)
