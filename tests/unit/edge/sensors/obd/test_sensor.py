"""The OBD sensor against an adapter on a pty: what it reads, and how it asks."""

from collections.abc import Iterator
from pathlib import Path
import termios
import time

import pytest

from edge.sensors.obd.errors import ObdError
from edge.sensors.obd.sensor import ObdSensor
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import VIN, FakeEcu, FakeElm, boot_ms, engine
from tests.support.sensor_runs import quick_obd as config
from tests.support.sensor_runs import run, running, until

ID = {name: signal.id for name, signal in catalogue().by_name.items()}


@pytest.fixture
def elm(tmp_path: Path) -> Iterator[FakeElm]:
    fake = FakeElm(tmp_path / "obd")
    yield fake
    fake.close()


def test_reads_values_identity_and_codes(elm: FakeElm) -> None:
    elm.ecus = {0x7E8: engine(stored=["P0143", "U1234"], pending=["C0301"])}

    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.of("dtc_set") and sink.last(ID["battery_v"]) and sink.last(ID["monitor_bits"]))
            assert sink.last(ID["speed_kmh"]) == 50
            assert sink.last(ID["engine_rpm"]) == 8000
            assert sink.last(ID["battery_v"]) == 141
            assert sink.last(ID["monitor_bits"]) == 0x07E500
            assert sink.of("obd_connected") == [{"protocol": "ISO 15765-4 CAN 11/500", "adapter": "ELM327 v1.5"}]
            assert sink.of("vin_read") == [{"vin": VIN}]
            assert {(d["code"], d["status"]) for d in sink.of("dtc_set")} == {
                ("P0143", "stored"),
                ("U1234", "stored"),
                ("C0301", "pending"),
            }
            assert sensor.state().link == "open"
            assert sensor.state().facts["pids_per_request"] == 6
            report = await sensor.read_dtcs()
            assert [code.code for code in report.codes] == ["P0143", "U1234", "C0301"]
            assert report.unread == {}
            assert await sensor.read_vin() == VIN
        assert sensor.state().link == "closed"

    run(test)


def test_rows_stand_on_the_grid_and_never_twice_on_an_instant(elm: FakeElm) -> None:
    async def test() -> None:
        async with running(ObdSensor(config(elm), boot_ms)) as sink:
            await until(lambda: len(sink.rows) > 40)
        for group in {g for g, _, _ in sink.rows}:
            period_ms = round(float(group.removeprefix("obd_").removesuffix("s")) * 1000)
            times = [t for g, t, _ in sink.rows if g == group]
            assert all(t % period_ms == 0 for t in times)
            assert times == sorted(set(times))

    run(test)


def test_several_pids_share_a_request_and_its_frames_are_foretold(elm: FakeElm) -> None:
    async def test() -> None:
        async with running(ObdSensor(config(elm), boot_ms)) as sink:
            await until(lambda: len([c for c in elm.asked("010D0C") if len(c) % 2]) > 3)
            assert sink.last(ID["speed_kmh"]) == 50
            assert not sink.marks

    run(test)


@pytest.mark.parametrize(("multi", "count"), [(False, True), (True, False), (False, False)])
def test_falls_back_where_the_adapter_lacks_something(elm: FakeElm, multi: bool, count: bool, tmp_path: Path) -> None:
    elm.has_multi_pid, elm.has_frame_count = multi, count
    state = tmp_path / "state.json"

    async def test() -> None:
        sensor = ObdSensor(config(elm, state_path=str(state)), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["module_v"]) and len(sink.rows) > 30)
            assert sensor.state().facts["pids_per_request"] == (6 if multi else 1)
            assert sink.last(ID["speed_kmh"]) == 50
            assert not sink.marks
        assert f'"has_multi_pid":{str(multi).lower()}'.encode() in state.read_bytes()
        assert f'"has_frame_count":{str(count).lower()}'.encode() in state.read_bytes()

    run(test)


def test_the_protocol_is_searched_once_and_then_remembered(elm: FakeElm, tmp_path: Path) -> None:
    async def test() -> None:
        for expected in (["ATSP0"], ["ATSP6"]):
            elm.received.clear()
            async with running(ObdSensor(config(elm, state_path=str(tmp_path / "s.json")), boot_ms)) as sink:
                await until(lambda sink=sink: sink.rows)
            assert elm.asked("ATSP") == expected

    run(test)


def test_a_damaged_memory_is_a_fresh_start(elm: FakeElm, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(b'{"baud":"x')

    async def test() -> None:
        async with running(ObdSensor(config(elm, state_path=str(path)), boot_ms)) as sink:
            await until(lambda: sink.rows)

    run(test)
    assert b'"protocol":"6"' in path.read_bytes()


def test_another_vehicle_is_found_by_a_new_search(elm: FakeElm, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(b'{"protocol":"3","adapter":"ELM327 v1.5"}')

    async def test() -> None:
        async with running(ObdSensor(config(elm, state_path=str(path)), boot_ms)) as sink:
            await until(lambda: sink.rows)
        assert elm.asked("ATSP") == ["ATSP3", "ATSP0"]

    run(test)


def test_four_computers_each_for_what_it_knows(elm: FakeElm) -> None:
    elm.ecus = {
        0x7EB: FakeEcu({0x0D: b"\x01", 0x5C: b"\x90"}),
        0x7E8: engine(),
        0x7E9: FakeEcu({0x0D: b"\x63", 0xA4: bytes.fromhex("02000bb8")}, {3: ["P0700"]}),
        0x7EA: FakeEcu({0x5B: b"\x80"}),
    }

    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.of("dtc_set") and sink.last(ID["hybrid_battery_pct"]) and len(sink.rows) > 30)
            assert sensor.state().facts["computers"] == 4
            assert {v[ID["speed_kmh"]] for _, _, v in sink.rows if ID["speed_kmh"] in v} == {50}
            assert sink.last(ID["oil_c"]) == 0x90
            assert sink.last(ID["gear_ratio"]) == 3000
            assert sink.of("dtc_set") == [{"code": "P0700", "status": "stored"}]
            assert not sink.marks

    run(test)


def test_a_lit_lamp_has_the_codes_read_at_once(elm: FakeElm) -> None:
    async def test() -> None:
        async with running(ObdSensor(config(elm, dtc_period_s=600), boot_ms)) as sink:
            await until(lambda: sink.of("vin_read") and sink.last(ID["dtc_count"]) == 0)
            elm.ecus[0x7E8].dtcs = {3: ["P0301"]}
            elm.ecus[0x7E8].pids[0x01] = bytes.fromhex("8107E500")
            await until(lambda: sink.of("dtc_set"))
            assert sink.of("dtc_set") == [{"code": "P0301", "status": "stored"}]

    run(test)


def test_the_speed_of_the_line_is_found_and_remembered(elm: FakeElm, tmp_path: Path) -> None:
    elm.only_baud = termios.B115200

    async def test() -> None:
        async with running(
            ObdSensor(config(elm, deadline_s=0.8, state_path=str(tmp_path / "s.json")), boot_ms)
        ) as sink:
            await until(lambda: sink.rows)
        assert b'"baud":115200' in (tmp_path / "s.json").read_bytes()

    run(test)


@pytest.mark.parametrize("lacking", [{"E1"}, {"S0", "M0", "AT1", "L0"}])
def test_old_and_poor_adapters_are_used_as_far_as_they_go(elm: FakeElm, lacking: set[str]) -> None:
    elm.unknown, elm.has_echo, elm.voltage = lacking, "E1" not in lacking, None

    async def test() -> None:
        async with running(ObdSensor(config(elm), boot_ms)) as sink:
            await until(lambda: len(sink.rows) > 10)
            assert sink.last(ID["speed_kmh"]) == 50
            assert sink.last(ID["battery_v"]) is None

    run(test)


def test_a_pid_that_is_announced_but_absent_is_given_up(elm: FakeElm) -> None:
    class Boastful(FakeEcu):
        def answer(self, request: bytes) -> bytes | None:
            return super().answer(bytes(b for b in request if b != 0x0F) if request[0] == 1 else request)

    elm.ecus = {0x7E8: Boastful(engine().pids, {}, VIN)}

    async def test() -> None:
        async with running(ObdSensor(config(elm), boot_ms)) as sink:
            await until(lambda: "010F" in elm.received)
            await until(lambda: len(sink.rows) > 60)
            assert sink.last(ID["coolant_c"]) == 0x82
            assert sink.last(ID["intake_air_c"]) is None
            asked = len([c for c in elm.received if "0F" in c])
            rows = len(sink.rows)
            await until(lambda: len(sink.rows) > rows + 30)
            assert len([c for c in elm.received if "0F" in c]) == asked
            assert ((ID["intake_air_c"],), "no_data") in {(ids, kind) for ids, _, kind in sink.marks}

    run(test)


def test_a_slow_adapter_gives_speed_in_every_row_and_the_rest_in_turn(elm: FakeElm) -> None:
    elm.has_multi_pid = False

    def slow(command: str) -> bytes | None:
        if command.startswith("01"):
            time.sleep(0.02)
        return None

    elm.override = slow

    async def test() -> None:
        async with running(ObdSensor(config(elm), boot_ms)) as sink:
            await until(lambda: len([r for r in sink.rows if r[0] == "obd_0.05s"]) > 25, 15)
            rows = [values for group, _, values in sink.rows if group == "obd_0.05s"]
            assert all(ID["speed_kmh"] in values for values in rows)
            assert {key for values in rows for key in values} >= {
                ID[n] for n in ("engine_rpm", "coolant_c", "module_v")
            }

    run(test)


def test_a_vehicle_that_tells_no_vin_is_measured_all_the_same(elm: FakeElm) -> None:
    elm.ecus = {0x7E8: FakeEcu(engine().pids, {3: ["P0143"]})}

    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.of("dtc_set") and len(sink.rows) > 20)
            assert elm.asked("0902") == ["0902"]  # once, not once a minute
            with pytest.raises(ObdError):
                await sensor.read_vin()

    run(test)


def test_a_foretold_group_that_stops_being_answered_whole_is_asked_one_by_one(elm: FakeElm) -> None:
    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["coolant_c"]))
            elm.has_multi_pid = False  # as behind another gateway, met without a new connection
            rows = len(sink.rows)
            await until(lambda: len(sink.rows) > rows + 40)
            assert "010D" in elm.received[-60:] or "010D1" in elm.received[-60:]
            assert sink.kinds().count("obd_lost") == 0
            assert sink.last(ID["speed_kmh"]) == 50

    run(test)
