"""Diagnosis of a whole vehicle through the adapter: several computers, refusals, damage; and clearing its codes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.sensors.obd.clearing import clear_codes
from edge.sensors.obd.errors import BadAnswer, BusError, ObdError
from edge.sensors.obd.freeze_frame import read_freeze_frames
from edge.sensors.obd.identity import read_calibrations, read_identity
from edge.sensors.obd.inspection import read_codes, read_readiness
from edge.sensors.obd.vehicle import Vehicle
from tests.support.elm_fakes import VIN, FakeElm, iso_tp
from tests.support.talking_ecu import TalkingEcu, gearbox, motor, with_vehicle


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeElm]:
    elm = FakeElm(tmp_path / "obd", {0x7E8: motor(stored=["P0301"], permanent=["P0301"]), 0x7E9: gearbox()})
    yield elm
    elm.close()


FROZEN = {
    "fuel_system_1": 2.0, "fuel_system_2": 0.0, "engine_load_pct": 50.2, "coolant_c": 83.0, "engine_rpm": 1726.0,
    "speed_kmh": 50.0, "barometric_kpa": 100.0,
}  # fmt: skip


@pytest.mark.parametrize("has_multi_pid", [True, False])
def test_codes_with_lamp_and_freeze_frame(fake: FakeElm, has_multi_pid: bool) -> None:
    fake.has_multi_pid = has_multi_pid

    async def test(vehicle: Vehicle) -> None:
        report = await read_codes(vehicle, VIN)
        assert [(c.code, c.status, c.ecu) for c in report.codes] == [
            ("P0301", "stored", "7E8"), ("P0301", "permanent", "7E8"),
        ]  # fmt: skip
        assert (report.is_mil_on, report.since) == (True, {"mil_distance_km": 37.0})
        (frame,) = report.freeze_frames
        assert (frame.ecu, frame.code) == ("7E8", "P0301")
        assert frame.values == pytest.approx(FROZEN, abs=0.01)
        assert len(fake.asked("02")) == (6 if has_multi_pid else 10)

    with_vehicle(fake, test)


def test_without_a_code_no_freeze_frame_is_asked_for(fake: FakeElm) -> None:
    fake.ecus = {0x7E8: motor()}

    async def test(vehicle: Vehicle) -> None:
        assert (await read_codes(vehicle, None)).freeze_frames == []
        assert not fake.asked("02")

    with_vehicle(fake, test)


def test_several_pids_that_are_refused_are_asked_for_one_by_one(fake: FakeElm) -> None:
    motor_ = fake.ecus[0x7E8]
    assert isinstance(motor_, TalkingEcu)
    for request in [r for r in motor_.book if r.startswith("02") and len(r) > 6]:
        motor_.book[request] = "7F 02 12"
    motor_.book["020500"] = "42 05 01 7B"  # of another frame: not a value of this one

    async def test(vehicle: Vehicle) -> None:
        (frame,) = await read_freeze_frames(vehicle)
        assert frame.values.keys() == FROZEN.keys() - {"coolant_c"}

    with_vehicle(fake, test)


@pytest.mark.parametrize(
    ("request_", "answer", "error"),
    [
        ("020200", "42 02 00 03", BadAnswer),
        ("020000", "42 00 00 78", BadAnswer),
        ("020000", "42 02 00 03 01", BadAnswer),
        ("022000", "7F 02 31", ObdError),
    ],
)
def test_a_damaged_freeze_frame_is_none(fake: FakeElm, request_: str, answer: str, error: type[ObdError]) -> None:
    motor_ = fake.ecus[0x7E8]
    assert isinstance(motor_, TalkingEcu)
    motor_.book[request_] = answer
    fake.ecus = {0x7E8: motor_}

    async def test(vehicle: Vehicle) -> None:
        with pytest.raises(error):
            await read_freeze_frames(vehicle)
        report = await read_codes(vehicle, None)
        assert (report.freeze_frames, report.freeze_unread is not None) == ([], True)

    with_vehicle(fake, test)


def test_a_frame_that_is_replaced_meanwhile_is_not_a_mixture(fake: FakeElm) -> None:
    def replace(command: str) -> bytes | None:
        if command != "020200" or fake.received.count("020200") < 2:
            return None
        return b"020200\r" + b"\r".join(line.encode() for line in iso_tp(0x7E8, b"\x42\x02\x00\x04\x20")) + b"\r\r>"

    fake.override = replace

    async def test(vehicle: Vehicle) -> None:
        with pytest.raises(BadAnswer, match="changed"):
            await read_freeze_frames(vehicle)

    with_vehicle(fake, test)


def test_readiness_of_all_computers(fake: FakeElm) -> None:
    async def test(vehicle: Vehicle) -> None:
        motor_, gearbox_ = (await read_readiness(vehicle)).computers
        assert (motor_.ecu, motor_.is_mil_on, motor_.dtc_count, motor_.ignition) == ("7E8", True, 1, "spark")
        assert [m.name for m in motor_.monitors if not m.is_complete] == ["evaporative system"]
        assert [(m.name, m.cycle) for m in gearbox_.monitors] == [("comprehensive components", None)]

    with_vehicle(fake, test)


def test_who_the_computers_are(fake: FakeElm) -> None:
    async def test(vehicle: Vehicle) -> None:
        report = await read_identity(vehicle)
        assert (report.vin, report.protocol, report.unread) == (VIN, "ISO 15765-4 CAN 11/500", {})
        motor_, gearbox_ = report.computers
        assert (motor_.name, motor_.calibrations, motor_.cvns) == ("ECM-EngineControl", ["30D54000"], ["99B6DD10"])
        assert motor_.in_use is not None
        assert (motor_.in_use.ignition_count, motor_.in_use.monitors[0].completed_count) == (1, 2)
        assert (gearbox_.name, gearbox_.calibrations, gearbox_.cvns, gearbox_.in_use) == (None, ["TCU"], [], None)
        assert not fake.asked("090B")  # nobody announced it

    with_vehicle(fake, test)


def test_a_checksum_that_takes_its_time_is_asked_for_again_and_a_damaged_one_is_unread(fake: FakeElm) -> None:
    motor_ = fake.ecus[0x7E8]
    assert isinstance(motor_, TalkingEcu)

    async def test(vehicle: Vehicle) -> None:
        def at_work(command: str) -> bytes | None:
            return b"0906\r7E8037F097800000000\r\r>" if command == "0906" and fake.received.count("0906") < 3 else None

        fake.override = at_work
        assert (await read_calibrations(vehicle))[0x7E8] == (["30D54000"], ["99B6DD10"])
        motor_.book["0906"] = "49 06 02 99 B6 DD 10"
        report = await read_identity(vehicle)
        assert (report.computers[0].cvns, list(report.unread)) == ([], ["CVN"])

    with_vehicle(fake, test)


class Told:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))


def test_codes_are_cleared_and_read_again_and_permanent_ones_stay(fake: FakeElm) -> None:
    async def test(vehicle: Vehicle) -> None:
        told = Told()
        report = await clear_codes(vehicle, "cli", told)
        assert (report.result, report.reason, report.refused) == ("cleared", "", {})
        assert report.after is not None
        assert [(c.code, c.status) for c in report.after] == [("P0301", "permanent")]
        before = ["P0301 stored 7E8", "P0301 permanent 7E8"]
        assert told.events == [
            ("dtc_clear_requested", {"source": "cli", "codes_before": before}),
            (
                "dtcs_cleared",
                {"source": "cli", "result": "cleared", "codes_before": before, "codes_after": before[1:]},
            ),
        ]
        assert fake.received[fake.received.index("04") - 1].startswith("010D")

    with_vehicle(fake, test)


@pytest.mark.parametrize(
    ("pids", "reason"),
    [
        ({0x0C: b"\x0c\x80"}, "the engine runs"),
        ({0x0D: b"\x05"}, "the vehicle moves"),
        ({0x0C: None}, "could not be read whether the engine runs"),
        ({0x0C: "lost"}, "could not be read whether the engine runs"),
        ({0x0C: None, 0x0D: None}, "tells neither"),
    ],
)
def test_nothing_is_cleared_while_it_may_run(fake: FakeElm, pids: dict[int, Any], reason: str) -> None:
    motor_ = motor(stored=["P0301"])
    is_announced = len(pids) == 1
    fake.ecus = {0x7E8: motor_}
    motor_.pids |= {pid: data for pid, data in pids.items() if isinstance(data, bytes)}
    if not is_announced:
        motor_.pids = {pid: data for pid, data in motor_.pids.items() if pid not in pids}

    async def test(vehicle: Vehicle) -> None:
        if is_announced and pids.get(0x0C, b"") is None:
            del motor_.pids[0x0C]
        if pids.get(0x0C) == "lost":
            fake.override = lambda command: (
                f"{command}\rCAN ERROR\r\r>".encode() if command.startswith("010C") else None
            )
        told = Told()
        report = await clear_codes(vehicle, "cli", told)
        assert (report.result, reason in report.reason) == ("refused", True)
        assert [kind for kind, _ in told.events] == ["dtc_clear_requested", "dtc_clear_refused"]
        assert "04" not in fake.received

    with_vehicle(fake, test)


def test_a_vehicle_that_refuses_says_why(fake: FakeElm) -> None:
    motor_, gearbox_ = fake.ecus[0x7E8], fake.ecus[0x7E9]
    assert isinstance(motor_, TalkingEcu)
    assert isinstance(gearbox_, TalkingEcu)
    motor_.clears_with = gearbox_.clears_with = "7F 04 22"

    async def test(vehicle: Vehicle) -> None:
        told = Told()
        report = await clear_codes(vehicle, "cli", told)
        assert (report.result, "conditions not correct" in report.reason) == ("refused", True)
        assert told.events[-1][0] == "dtc_clear_refused"
        gearbox_.clears_with = "44"  # one accepts, the other one keeps its codes
        report = await clear_codes(vehicle, "cli", told)
        assert (report.result, report.refused.keys()) == ("still_set", {"7E8"})
        assert told.events[-1][1]["refused"].keys() == {"7E8"}

    with_vehicle(fake, test)


def test_an_answer_that_is_damaged_is_settled_by_reading_again(fake: FakeElm) -> None:
    async def test(vehicle: Vehicle) -> None:
        fake.override = lambda command: b"04\r7E8014\r\r>" if command == "04" else None
        report = await clear_codes(vehicle, "cli", Told())
        assert (report.result, "P0301" in report.reason) == ("still_set", True)
        fake.bus_text = "NO DATA"
        with pytest.raises(BusError):
            await clear_codes(vehicle, "cli", Told())  # not even asked: what would be lost is not known

    with_vehicle(fake, test)
