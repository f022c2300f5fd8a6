"""Which computers there are, and asking them, where vehicles differ."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import BadAnswer, BusError, NegativeAnswer, ObdError
from edge.sensors.obd.faults import read_report
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import Port
from edge.sensors.obd.vehicle import Vehicle
from tests.support.elm_fakes import VIN, FakeEcu, FakeElm, engine


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeElm]:
    elm = FakeElm(tmp_path / "obd")
    yield elm
    elm.close()


def with_elm(fake: FakeElm, test: Callable[[Elm], Awaitable[None]]) -> None:
    async def body() -> None:
        port = await Port.open(str(fake.link), 38_400, 1.0)
        try:
            await test(await Elm.start(port, 1.0, 2.0))
        finally:
            await port.close()

    asyncio.run(asyncio.wait_for(body(), 30))


def test_an_older_vehicle_on_a_k_line(fake: FakeElm) -> None:
    fake.protocol = "3"
    fake.ecus = {0x10: engine(stored=["P0143", "P0301", "C1234", "U0100"])}

    async def test(elm: Elm) -> None:
        memory = Memory()
        vehicle = await Vehicle.find(elm, memory, may_search=True)
        assert (vehicle.bus.name, memory.protocol) == ("ISO 9141-2", "3")
        await vehicle.learn_batching()
        assert vehicle.batch_size == 1
        assert memory.has_multi_pid is None
        assert await vehicle.read((0x0C,)) == {0x0C: b"\x1f\x40"}
        assert await vehicle.vin() == VIN
        report = await read_report(vehicle)
        assert [d.code for d in report.codes] == ["P0143", "P0301", "C1234", "U0100"]
        assert set(report.by_status) == {"stored", "pending"}  # there is no mode 0A on these

    with_elm(fake, test)


def test_without_an_answer_there_is_no_vehicle_whatever_the_adapter_says(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        with pytest.raises(ObdError):
            await Vehicle.find(elm, Memory(), may_search=False)
        assert not fake.asked("01")
        for text in ("BUS INIT: ...ERROR", "UNABLE TO CONNECT", "NO DATA", "OK"):
            fake.bus_text = text
            with pytest.raises((BusError, BadAnswer)):
                await Vehicle.find(elm, Memory(), may_search=True)
        fake.bus_text, fake.override = None, lambda command: b"ATDPN\rAA\r\r>" if command == "ATDPN" else None
        with pytest.raises(BadAnswer, match="not one for OBD"):
            await Vehicle.find(elm, Memory(), may_search=True)  # SAE J1939 speaks otherwise

    with_elm(fake, test)


def test_a_bitmap_is_asked_for_twice_and_an_empty_promise_is_passed_over(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        def stumble(command: str) -> bytes | None:
            return b"0120\rNO DATA\r\r>" if fake.received.count("0120") == 1 and command == "0120" else None

        fake.override = stumble
        vehicle = await Vehicle.find(elm, Memory(), may_search=True)
        assert 0x42 in vehicle.owner
        fake.override = lambda command: b"0120\r7E8037F011200000000\r\r>" if command == "0120" else None
        vehicle = await Vehicle.find(elm, Memory(), may_search=True)
        assert 0x0D in vehicle.owner
        assert 0x42 not in vehicle.owner

    with_elm(fake, test)


def test_fuel_trims_have_two_bytes_where_there_are_four_banks(fake: FakeElm) -> None:
    fake.ecus = {0x7E8: FakeEcu({0x06: b"\x80\x81", 0x0D: b"\x32", 0x1D: b"\xff"})}

    async def test(elm: Elm) -> None:
        vehicle = await Vehicle.find(elm, Memory(), may_search=True)
        assert await vehicle.read((0x06, 0x0D)) == {0x06: b"\x80\x81", 0x0D: b"\x32"}

    with_elm(fake, test)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, True),
        (b"NO DATA\r\r>", False),
        (b"?\r\r>", False),
        (b"7E8037F011200000000\r\r>", False),
        (b"7E803410D3200000000\r\r>", False),  # it answers the first PID only
    ],
)
def test_several_pids_in_a_request_are_tried_once(fake: FakeElm, raw: bytes | None, expected: bool) -> None:
    async def test(elm: Elm) -> None:
        memory = Memory()
        vehicle = await Vehicle.find(elm, memory, may_search=True)

        def answer(command: str) -> bytes | None:
            is_multi = command.startswith("01") and len(command) == 8 - 2
            return None if raw is None or not is_multi else command.encode() + b"\r" + raw

        fake.override = lambda command: answer(command) if len(command) == 6 else None
        await vehicle.learn_batching()
        assert memory.has_multi_pid is expected
        asked = len(fake.received)
        await vehicle.learn_batching()
        assert len(fake.received) == asked

    with_elm(fake, test)


def test_a_vehicle_that_falls_asleep_teaches_nothing_about_the_adapter(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        memory = Memory()
        vehicle = await Vehicle.find(elm, memory, may_search=True)
        fake.bus_text = "NO DATA"
        with pytest.raises(BusError):
            await vehicle.learn_batching()
        assert memory.has_multi_pid is None

    with_elm(fake, test)


def test_a_foretold_count_that_fails_is_asked_again_without(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        memory = Memory()
        vehicle = await Vehicle.find(elm, memory, may_search=True)
        for _ in range(4):
            await vehicle.read((0x0D,))
        assert fake.received[-2:] == ["010D", "010D1"]
        assert memory.has_frame_count is True
        fake.override = lambda command: b"010D1\rNO DATA\r\r>" if command == "010D1" else None
        for _ in range(12):
            assert await vehicle.read((0x0D,)) == {0x0D: b"\x32"}
        assert memory.has_frame_count is False
        assert fake.received[-3:] == ["010D"] * 3
        fake.bus_text = "NO DATA"
        with pytest.raises(BusError):
            await vehicle.read((0x0D,))

    with_elm(fake, test)


def test_an_answer_without_the_owner_is_none(fake: FakeElm) -> None:
    fake.ecus[0x7E9] = FakeEcu({0x0D: b"\x31"})

    async def test(elm: Elm) -> None:
        vehicle = await Vehicle.find(elm, Memory(), may_search=True)
        del fake.ecus[0x7E8]
        with pytest.raises(BusError, match="7E8"):
            await vehicle.read((0x0D,))

    with_elm(fake, test)


def test_a_computer_that_pads_some_frames_only_is_understood_after_a_while(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        vehicle = await Vehicle.find(elm, Memory(has_frame_count=False), may_search=True)
        fake.override = lambda command: b"010D\r7E803410D33\r\r>" if command == "010D" else None
        for _ in range(3):
            with pytest.raises(BadAnswer):
                await vehicle.read((0x0D,))
        assert await vehicle.read((0x0D,)) == {0x0D: b"\x33"}

    with_elm(fake, test)


def test_lists_that_are_refused_are_named_and_stored_codes_must_be_read(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        vehicle = await Vehicle.find(elm, Memory(), may_search=True)
        fake.override = lambda command: b"0A\r7E8037F0A1100000000\r\r>" if command == "0A" else None
        report = await read_report(vehicle)
        assert report.by_status == {"stored": {0x7E8: ()}, "pending": {0x7E8: ()}}
        assert "refused" in report.unread["permanent"]
        fake.override = lambda command: b"03\r7E8037F031100000000\r\r>" if command == "03" else None
        with pytest.raises(NegativeAnswer):
            await read_report(vehicle)

    with_elm(fake, test)
