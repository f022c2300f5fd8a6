"""Profiles at work: the sensor against an adapter on a pty, with a maker's own requests behind it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.sensors.obd.sensor import ObdSensor
from sync_protocol.errors import ConfigError
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import VIN, FakeEcu, FakeElm, boot_ms, engine
from tests.support.sensor_runs import quick_obd as config
from tests.support.sensor_runs import run, running, until

ID = {name: signal.id for name, signal in catalogue().by_name.items()}
PROFILE = """
text = "Honda of the tests"
source = "this test"
skip = ["coolant_c"]
pids_to_skip = ["0F"]
pids_to_ask = ["5C"]
[match]
makes = ["Honda"]
[periods_s]
throttle_pct = 0.3
[[requests]]
request = "2151"
to = "7E0"
size_bytes = 4
period_s = 0.05
[[requests.values]]
signal = "torque_pct"
at = 1
offset = "-125"
"""


class HondaEcu(FakeEcu):
    """An engine with data of the maker's, and an oil temperature that it does not announce."""

    maker_answer = b"\x61\x51\x00\x96\x00\x00"

    def answer(self, request: bytes) -> bytes | None:
        if request == b"\x21\x51":
            return self.maker_answer
        if request[0] == 1 and 0x5C in request[1:] and len(request) == 2:
            return b"\x41\x5c\x82"
        return super().answer(request)


@pytest.fixture
def elm(tmp_path: Path) -> Iterator[FakeElm]:
    fake = FakeElm(tmp_path / "obd", {0x7E8: HondaEcu(engine().pids, {}, VIN)})
    yield fake
    fake.close()


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = tmp_path / "profiles"
    made.mkdir()
    (made / "honda.toml").write_text(PROFILE)
    return str(made)


def test_chosen_by_the_vin_and_heeded(elm: FakeElm, folder: str) -> None:
    async def test() -> None:
        sensor = ObdSensor(config(elm, profile_dir=folder, periods_s={"speed_kmh": 0.05, "oil_c": 0.1}), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["torque_pct"]) and sink.last(ID["oil_c"]) and sink.last(ID["speed_kmh"]))
            assert sink.last(ID["torque_pct"]) == 0x96  # 25 %
            assert sink.last(ID["oil_c"]) == 0x82
            assert sink.last(ID["coolant_c"]) is None
            assert sink.last(ID["intake_air_c"]) is None
            assert sink.of("profile_chosen") == [{"profile": "honda", "reason": "vin"}]
            assert sensor.state().facts["profile"] == "honda"
            assert not elm.asked("010F")
            await until(lambda: len(elm.asked("ATSH7DF")) > 2)  # all computers again after each request to one
            await until(lambda: {"obd_0.3s", "maker_0.05s"} <= {group for group, _, _ in sink.rows})

    run(test)


def test_another_makers_vehicle_is_never_asked(elm: FakeElm, folder: str) -> None:
    elm.ecus[0x7E8].vin = "WVWZZZ1KZ6W000001"

    async def test() -> None:
        sensor = ObdSensor(config(elm, profile="honda", profile_dir=folder), boot_ms)  # wrongly named
        async with running(sensor) as sink:
            await until(lambda: len(sink.rows) > 20)
            assert not elm.asked("2151")
            assert sink.last(ID["torque_pct"]) is None

    run(test)


def test_a_profile_whose_requests_all_fail_is_dropped(elm: FakeElm, folder: str) -> None:
    HondaEcu.maker_answer = b"\x61\x51\x00"

    async def test() -> None:
        sensor = ObdSensor(config(elm, profile_dir=folder), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.of("profile_dropped"))
            rows = len(sink.rows)
            await until(lambda: len(sink.rows) > rows + 10)
            assert len(elm.asked("2151")) == 3
            assert sink.last(ID["torque_pct"]) is None
            assert sensor.state().facts["profile"] is None

    try:
        run(test)
    finally:
        HondaEcu.maker_answer = b"\x61\x51\x00\x96\x00\x00"


def test_a_header_that_nobody_answers_is_taken_back(elm: FakeElm, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text('text = "t"\nsource = "s"\n[quirks]\nheader = "7E5"\nanswer_timeout_ms = 100\n')

    def addressed(command: str) -> bytes | None:
        sent = [c for c in elm.received if c.startswith("ATSH")]
        return b"0100\rNO DATA\r\r>" if command == "0100" and sent and sent[-1] == "ATSH7E5" else None

    elm.override = addressed

    async def test() -> None:
        sensor = ObdSensor(config(elm, profile="odd", profile_dir=str(tmp_path)), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["speed_kmh"]) == 50)
            assert sink.of("profile_dropped")[0]["profile"] == "odd"
            assert elm.asked("ATST") == ["ATST19", "ATST32"]
            assert elm.asked("ATSH") == ["ATSH7E5", "ATSH7DF"]

    run(test)


@pytest.mark.parametrize(("fuel", "name"), [(1, "generic_petrol"), (4, "generic_diesel"), (0, None)])
def test_a_generic_one_by_the_fuel(elm: FakeElm, fuel: int, name: str | None) -> None:
    elm.ecus = {0x7E8: FakeEcu(engine().pids | {0x51: bytes([fuel])}, {}, VIN)}

    async def test() -> None:
        sensor = ObdSensor(config(elm), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["speed_kmh"]) == 50)
            assert sensor.state().facts["profile"] == name
            assert [event["profile"] for event in sink.of("profile_chosen")] == ([name] if name else [])

    run(test)


def test_an_unknown_name_is_refused(elm: FakeElm) -> None:
    with pytest.raises(ConfigError, match=r"\$\.obd\.profile: expected one of auto, none, .*generic_diesel"):
        ObdSensor(config(elm, profile="volvo"), boot_ms)
