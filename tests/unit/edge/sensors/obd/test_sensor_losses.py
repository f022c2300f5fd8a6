"""The OBD sensor when adapter or vehicle are lost, asleep or confused: what it says, and what it stops doing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.sensors.obd.errors import ObdError
from edge.sensors.obd.sensor import ObdSensor
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import FakeElm, boot_ms, engine
from tests.support.sensor_runs import quick_obd as config
from tests.support.sensor_runs import run, running, until

ID = {name: signal.id for name, signal in catalogue().by_name.items()}


@pytest.fixture
def elm(tmp_path: Path) -> Iterator[FakeElm]:
    fake = FakeElm(tmp_path / "obd")
    yield fake
    fake.close()


def test_unplugged_and_plugged_in_again(elm: FakeElm) -> None:
    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.rows)
            elm.unplug()
            await until(lambda: sensor.state().link == "failing")
            with pytest.raises(ObdError):
                await sensor.read_dtcs()
            before = len(sink.rows)
            elm.plug()
            await until(lambda: len(sink.rows) > before)
            assert sink.kinds().count("obd_connected") == 2
            assert sink.of("obd_lost") == [{"reason": "adapter_lost"}]

    run(test)


def test_a_silent_adapter_is_noticed_and_comes_back(elm: FakeElm) -> None:
    async def test() -> None:
        sensor = ObdSensor(config(elm, deadline_s=0.8), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.rows)
            elm.override = lambda command: b""
            await until(lambda: sensor.state().link == "failing")
            assert {kind for _, _, kind in sink.marks} == {"bus_error"}
            elm.override = lambda command: None
            before = len(sink.rows)
            await until(lambda: len(sink.rows) > before)
            assert sensor.state().link == "open"

    run(test)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("NO DATA", "no_data"),
        ("CAN ERROR", "bus_error"),
        ("BUS INIT: ...ERROR", "bus_error"),
        ("BUS ERROR", "bus_error"),
    ],
)
def test_ignition_off_ends_the_questions(elm: FakeElm, text: str, mark: str) -> None:
    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["battery_v"]))
            elm.bus_text, elm.voltage = text, "12.4V"
            await until(lambda: sink.of("obd_lost"))
            assert sink.of("obd_lost") == [{"reason": "no_answer"}]
            assert {kind for _, _, kind in sink.marks} == {mark}
            await until(lambda: sink.last(ID["battery_v"]) == 124)
            await until(lambda: sensor.state().link == "closed")
            await until(lambda: elm.received[-4:] == ["ATPC", "ATRV", "ATRV", "ATRV"])
            elm.received.clear()
            await until(lambda: len(elm.asked("ATRV")) > 6)
            assert not elm.asked("0")  # nothing was sent to the vehicle
            elm.bus_text, elm.voltage = None, "14.2V"
            before = len(sink.rows)
            await until(lambda: len(sink.rows) > before and sensor.state().link == "open")
            await until(lambda: sink.kinds().count("obd_connected") == 2)

    run(test)


def test_a_vehicle_that_answers_with_its_engine_off_is_left_to_sleep(elm: FakeElm) -> None:
    async def test() -> None:
        sensor = ObdSensor(config(elm, quiet_after_s=0.4), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["battery_v"]))
            elm.voltage = "12.5V"
            elm.ecus[0x7E8].pids.update({0x0C: b"\x00\x00", 0x0D: b"\x00"})
            await until(lambda: sink.of("obd_lost") == [{"reason": "ignition_off"}])
            await until(lambda: elm.received[-8:] == ["ATRV"] * 8)
            assert sensor.state().link == "closed"
            elm.voltage = "12.0V"  # the key is turned: one question, and the engine is still off
            await until(lambda: sensor.state().detail == "vehicle rests: engine off")
            assert sink.kinds().count("obd_connected") == 1
            elm.voltage = "12.6V"
            elm.ecus[0x7E8].pids.update({0x0C: b"\x10\x00"})
            await until(lambda: sink.kinds().count("obd_connected") == 2)

    run(test)


def test_an_engine_that_runs_unheard_is_a_failure_not_a_sleep(elm: FakeElm) -> None:
    elm.bus_text = "UNABLE TO CONNECT"

    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sensor.state().link == "failing")
            assert "UNABLE TO CONNECT" in sensor.state().detail
            assert not sink.events

    run(test)


def test_an_adapter_that_restarts_while_cranking_is_set_up_anew(elm: FakeElm) -> None:
    async def test() -> None:
        async with running(ObdSensor(config(elm), boot_ms)) as sink:
            await until(lambda: sink.rows)
            was_reset = []

            def reset(command: str) -> bytes | None:
                if command.startswith("01") and not was_reset:
                    was_reset.append(command)
                    return b"\r\rELM327 v1.5\r\r>"
                return None

            elm.received.clear()
            elm.override = reset
            await until(lambda: "ATZ" in elm.received and sink.kinds().count("obd_connected") == 2)

    run(test)


def test_codes_that_cannot_be_read_are_not_cleared_codes(elm: FakeElm) -> None:
    elm.ecus = {0x7E8: engine(stored=["P0143"])}

    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.of("dtc_set"))
            for wrong in (b"03\rNO DATA\r\r>", b"03\r7E8037F0322\r\r>", b"03\r7E80243FF\r\r>", b"03\rCAN ERROR\r\r>"):
                elm.override = lambda command, wrong=wrong: wrong if command == "03" else None
                asked = len(elm.asked("03"))
                await until(lambda asked=asked: len(elm.asked("03")) > asked + 1)
                with pytest.raises(ObdError):
                    await sensor.read_dtcs()
            assert not sink.of("dtc_cleared")
            elm.override = lambda command: None
            elm.ecus[0x7E8].dtcs = {}
            await until(lambda: sink.of("dtc_cleared"))
            assert sink.of("dtc_cleared") == [{"code": "P0143", "status": "stored"}]

    run(test)


def test_an_adapter_without_headers_is_refused(elm: FakeElm) -> None:
    elm.unknown = {"H1"}

    async def test() -> None:
        sensor = ObdSensor(config(elm, baud=38400), boot_ms)
        async with running(sensor):
            await until(lambda: sensor.state().link == "failing")
            assert "ATH1" in sensor.state().detail

    run(test)


def test_an_adapter_that_lost_its_settings_unseen_is_set_up_anew(elm: FakeElm) -> None:
    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.rows)
            before = len(elm.asked("ATZ"))

            def headers_off(command: str) -> bytes | None:
                if len(elm.asked("ATZ")) == before and command.startswith("01"):
                    return command.encode() + b"\r41 0D 32 \r\r>"
                return None

            elm.override = headers_off
            await until(lambda: sink.kinds().count("obd_connected") == 2)
            assert sink.of("obd_lost") == [{"reason": "adapter_lost"}]
            assert {kind for _, _, kind in sink.marks} == {"invalid"}
            assert {v[ID["speed_kmh"]] for _, _, v in sink.rows if ID["speed_kmh"] in v} == {50}

    run(test)


def test_a_voltage_that_cannot_be_read_costs_the_voltage_only(elm: FakeElm) -> None:
    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["battery_v"]))
            elm.voltage = "1x.4V"
            rows = len(sink.rows)
            await until(lambda: "errors_BadAnswer" in sensor.state().facts and len(sink.rows) > rows + 10)
            assert sensor.state().link == "open"
            assert sink.kinds() == ["obd_connected", "vin_read"]

    run(test)
