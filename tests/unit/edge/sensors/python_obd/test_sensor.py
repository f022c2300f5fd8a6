"""python-OBD as a sensor, an adapter on a pty: wrong answers, a parked vehicle, an adapter that comes and goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.sensors.python_obd.sensor import PythonObdSensor
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import FakeElm, boot_ms
from tests.support.sensor_runs import quick_obd, run, running, until

obd = pytest.importorskip("obd", reason="python-OBD is in the extra `obd`")

ID = {name: signal.id for name, signal in catalogue().by_name.items()}


class EchoingElm(FakeElm):
    """Heeds ATE0, which python-OBD insists on."""

    def _at(self, command: str) -> list[str]:
        if command in ("E0", "E1"):
            self._echo = command == "E1"
        return super()._at(command)


@pytest.fixture
def elm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeElm]:
    monkeypatch.setattr("obd.elm327.time.sleep", lambda _: None)  # its pauses of a second for slow adapters
    monkeypatch.setattr("edge.sensors.python_obd.sensor._LEAST_WAIT_S", 0.05)
    fake = EchoingElm(tmp_path / "obd")
    yield fake
    fake.close()


def test_wrong_answers_are_no_values(elm: FakeElm) -> None:
    wrong = {
        "010C": b"7E8037F0112AAAAAAAA\r\r>",  # a refusal: 1152 rpm to python-OBD
        "0105": b"7E804410D1234AAAAAA\r\r>",  # another PID
        "010F": b"7E802410FAAAAAAAAAA\r\r>",  # truncated: -40 degrees to it
        "0104": b"NO DATA\r\r>",
    }
    elm.override = lambda command: wrong.get(command)

    async def test() -> None:
        sensor = PythonObdSensor(quick_obd(elm), boot_ms)
        async with running(sensor) as sink:
            bad = {ID[name] for name in ("engine_rpm", "coolant_c", "intake_air_c", "engine_load_pct")}
            await until(lambda: sink.last(ID["speed_kmh"]) == 50)
            await until(lambda: bad <= {i for ids, _, _ in sink.marks for i in ids})
            await until(lambda: sink.last(ID["module_v"]) == 14_100 and sink.last(ID["battery_v"]) == 141)
            assert not bad & {i for _, _, values in sink.rows for i in values}
            kinds = {i: kind for ids, _, kind in sink.marks for i in ids}
            assert kinds[ID["engine_load_pct"]] == "no_data"
            assert kinds[ID["coolant_c"]] == kinds[ID["intake_air_c"]] == "invalid"
            assert sensor.state().facts["errors_invalid"]

    run(test)


def test_a_parked_vehicle_is_left_alone_and_found_again(elm: FakeElm) -> None:
    async def test() -> None:
        config = quick_obd(elm, quiet_after_s=0.4, probe_spacing_s=0.2)
        sensor = PythonObdSensor(config, boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["speed_kmh"]) == 50)
            elm.ecus[0x7E8].pids.update({0x0C: b"\0\0", 0x0D: b"\0"})
            elm.voltage = "12.6V"
            await until(lambda: sink.of("obd_lost"))
            assert sink.of("obd_lost") == [{"reason": "ignition_off"}]
            asked, rows = len(elm.asked("01")), len(sink.rows)
            await until(lambda: len(sink.rows) >= rows + 4)  # the voltage
            assert len(elm.asked("01")) == asked
            assert sensor.state().link == "closed"
            elm.ecus[0x7E8].pids.update({0x0C: b"\x1f\x40", 0x0D: b"\x1e"})
            elm.voltage = "14.1V"
            await until(lambda: sink.last(ID["speed_kmh"]) == 30)
            await until(lambda: sensor.state().link == "open")

    run(test)


def test_an_adapter_without_a_vehicle_and_one_that_is_pulled_out(elm: FakeElm) -> None:
    elm.bus_text = "UNABLE TO CONNECT"

    async def test() -> None:
        sensor = PythonObdSensor(quick_obd(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sensor.state().link == "closed" and sink.last(ID["battery_v"]))
            assert "asleep" in sensor.state().detail
            elm.bus_text, elm.voltage = None, "12.0V"
            await until(lambda: sink.last(ID["battery_v"]) == 120)
            elm.voltage = "14.2V"  # the engine was started
            await until(lambda: sink.last(ID["speed_kmh"]) == 50)
            elm.unplug()
            await until(lambda: sensor.state().link == "failing")
            assert sink.of("obd_lost") == [{"reason": "adapter_lost"}]
            elm.plug()
            rows = len(sink.rows)
            await until(lambda: sensor.state().link == "open" and len(sink.rows) > rows)
            assert len(sink.of("obd_connected")) == 2

    run(test)


def test_a_vehicle_that_answers_no_more(elm: FakeElm) -> None:
    async def test() -> None:
        sensor = PythonObdSensor(quick_obd(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["speed_kmh"]) == 50)
            elm.bus_text = "NO DATA"
            await until(lambda: sink.of("obd_lost") == [{"reason": "no_answer"}])

    run(test)
