"""Exchanges with an adapter: the deadline holds and the answer belongs to the question, whatever the adapter does."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
import random
import socket
import threading
import time

import pytest

from edge.sensors.obd.answer import Bus
from edge.sensors.obd.elm import Elm, is_vehicle_away
from edge.sensors.obd.errors import (
    AdapterLost,
    AdapterReset,
    AdapterSilent,
    BadAnswer,
    BusError,
    NegativeAnswer,
    NotUnderstood,
    ObdError,
)
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import Port
from edge.sensors.obd.vehicle import Vehicle
from tests.support.elm_fakes import FakeElm

DEADLINE_S = 0.9
GOOD = b"010D\r7E803410D32\r\r>"


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeElm]:
    elm = FakeElm(tmp_path / "obd")
    yield elm
    elm.close()


def with_elm(fake: FakeElm, test: Callable[[Elm], Awaitable[None]], search_deadline_s: float = 3.0) -> None:
    async def body() -> None:
        port = await Port.open(str(fake.link), 38_400, DEADLINE_S)
        try:
            elm = await Elm.start(port, DEADLINE_S, search_deadline_s)
            await elm.select("6")
            await test(elm)
        finally:
            await port.close()

    asyncio.run(asyncio.wait_for(body(), 30))


async def timed(work: Awaitable[object]) -> float:
    begun_s = time.monotonic()
    with pytest.raises(ObdError):
        await work
    return time.monotonic() - begun_s


def test_good_answers(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        assert elm.identity == "ELM327 v1.5"
        assert await elm.request("010D") == ["7E803410D3200000000"]
        assert await elm.voltage_v() == 14.1
        assert await elm.bus() == Bus("6")
        fake.voltage = "?"
        assert await elm.voltage_v() is None
        asked = len(fake.received)
        assert await elm.voltage_v() is None
        assert len(fake.received) == asked

    with_elm(fake, test)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"010D\rNO DATA\r\r>", BusError),
        (b"010D\rSTOPPED\r\r>", BusError),
        (b"010D\r7E803410D32\rBUFFER FULL\r\r>", BusError),
        (b"010D\rCAN ERROR\r\r>", BusError),
        (b"010D\rBUS INIT: ...ERROR\r\r>", BusError),
        (b"010D\rUNABLE TO CONNECT\r\r>", BusError),
        (b"010D\r?\r\r>", NotUnderstood),
        (b"010D\r7E8037F011100000000\r\r>", NegativeAnswer),
        (b"010D\r7E804410C1AF8\r\r>", BadAnswer),  # another PID
        (b"010D\r7E803430D32\r\r>", BadAnswer),  # another service
        (b"010D\r7E804410D3233\r\r>", BadAnswer),  # too long
        (b"010D\r7E802410D\r\r>", BadAnswer),  # too short
        (b"010C\r7E804410C1AF8\r\r>", BadAnswer),  # the answer to what was asked before
        (b"7E803410D32\r\r>", BadAnswer),  # no echo
        (b"010D\r\r>", BadAnswer),
        (b"010D\r\xff\xfe7E803410D32\r\r>", BadAnswer),
        (b"\r\rELM327 v1.5\r\r>", AdapterReset),
        (b"010D\rLV RESET\r\r>", AdapterReset),
    ],
)
def test_each_wrong_answer_is_its_own_error(fake: FakeElm, raw: bytes, error: type[ObdError]) -> None:
    async def test(elm: Elm) -> None:
        vehicle = await Vehicle.find(elm, Memory(protocol="6"), may_search=False)
        fake.override = lambda command: raw if command == "010D" else None
        with pytest.raises(error) as caught:
            await vehicle.read((0x0D,))
        assert type(caught.value) is error
        fake.override = lambda command: None
        assert await vehicle.read((0x0D,)) == {0x0D: b"\x32"}

    with_elm(fake, test)


def test_nul_bytes_are_not_text(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        fake.override = lambda command: b"\x00010D\r7E8\x0003410D32\r\r>"
        assert await elm.request("010D") == ["7E803410D32"]

    with_elm(fake, test)


@pytest.mark.parametrize("raw", [b"", b"010D\r", b"010D\r7E803410D32\r\r", b"x" * 200_000])
def test_without_a_prompt_the_deadline_holds(fake: FakeElm, raw: bytes) -> None:
    async def test(elm: Elm) -> None:
        fake.override = lambda command: raw
        assert await timed(elm.request("010D")) < 2
        fake.override = lambda command: None
        assert await elm.request("010D") == ["7E803410D3200000000"]

    with_elm(fake, test)


def test_an_adapter_that_chatters_on_does_not_hold_us(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        is_over = threading.Event()

        def chatter() -> None:
            while not is_over.wait(0.02):
                fake.send(b"7E803410D32\r")

        thread = threading.Thread(target=chatter)
        thread.start()
        try:
            fake.override = lambda command: b""
            assert await timed(elm.request("010D")) < 2
        finally:
            is_over.set()
            thread.join()

    with_elm(fake, test)


def test_the_loop_runs_on_while_the_adapter_is_silent(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        fake.override = lambda command: b""
        asking = asyncio.create_task(timed(elm.request("010D")))
        longest_s, last_s = 0.0, time.monotonic()
        while not asking.done():
            await asyncio.sleep(0.005)
            longest_s, last_s = max(longest_s, time.monotonic() - last_s), time.monotonic()
        assert longest_s < 0.6
        await asking

    with_elm(fake, test)


def test_a_late_answer_is_not_the_next_ones(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        fake.override = lambda command: b""
        await timed(elm.request("010C"))
        fake.send(b"010C\r7E804410C1AF8\r\r>")
        fake.override = lambda command: None
        assert await elm.request("010D") == ["7E803410D3200000000"]
        # The worst case: it comes between our discarding and the echo.
        fake.override = lambda command: b"7E804410C1AF8\r\r>" + GOOD
        with pytest.raises(BadAnswer):
            await elm.request("010D")
        fake.override = lambda command: None
        assert await elm.request("010D") == ["7E803410D3200000000"]

    with_elm(fake, test)


def test_a_cancelled_exchange_leaves_no_answer_behind(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        fake.override = lambda command: b""
        asking = asyncio.create_task(elm.request("010C"))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        fake.send(b"010C\r7E804410C1AF8\r\r>")
        fake.override = lambda command: None
        assert await elm.request("010D") == ["7E803410D3200000000"]

    with_elm(fake, test)


def test_only_an_announced_search_may_take_longer(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        loop = asyncio.get_running_loop()
        for announced in (b"SEARCHING...", b"BUS INIT: ..."):
            fake.override = lambda command, announced=announced: b"0100\r" + announced
            loop.call_later(DEADLINE_S + 0.5, fake.send, b"\r7E8064100BE1FA813\r\r>")
            assert (await elm.request("0100", may_search=True))[-1] == "7E8064100BE1FA813"
        assert DEADLINE_S < await timed(elm.request("0100", may_search=True)) < 3.3
        assert await timed(elm.request("0100")) < 2
        fake.override = lambda command: b"0100\r"
        assert await timed(elm.request("0100", may_search=True)) < 2

    with_elm(fake, test)


def test_unplugging_is_noticed_at_once(fake: FakeElm) -> None:
    async def test(elm: Elm) -> None:
        fake.override = lambda command: b""
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, lambda: threading.Thread(target=fake.unplug).start())
        begun_s = time.monotonic()
        with pytest.raises(AdapterLost):
            await elm.request("010D")
        assert time.monotonic() - begun_s < 2
        with pytest.raises(AdapterLost):
            await elm.request("010D")

    with_elm(fake, test)
    fake.plug()


def test_random_bytes_never_hold_us_and_never_are_a_value(fake: FakeElm) -> None:
    chance = random.Random(7)
    alphabet = b"0123456789ABCDEF7E8410D \r\r>?.:SEARCHINGNO DATA\x00\xff"

    async def test(elm: Elm) -> None:
        vehicle = await Vehicle.find(elm, Memory(protocol="6", has_frame_count=False), may_search=False)
        refused = 0
        for round_ in range(150):
            noise = bytes(chance.choice(alphabet) for _ in range(chance.randrange(60)))
            tail = chance.choice([b"\r>", b">", b"\r\r>", b"\r>\r>"])
            before, after = chance.choice([(b"", noise + tail), (noise, GOOD), (b"010D\r", noise + tail)])
            fake.override = lambda command, raw=before + after: raw if command == "010D" else None
            begun_s = time.monotonic()
            try:
                assert await vehicle.read((0x0D,)) == {0x0D: b"\x32"}, (before, after)
            except ObdError:
                refused += 1
            assert time.monotonic() - begun_s < 2
            if round_ % 10 == 0:
                fake.override = lambda command: None
                assert await vehicle.read((0x0D,)) == {0x0D: b"\x32"}
        assert refused > 100

    with_elm(fake, test)


def test_what_cannot_be_opened_is_lost(tmp_path: Path) -> None:
    async def body() -> None:
        for url in (str(tmp_path / "none"), "socket://127.0.0.1:1", "socket://", "nothing://x"):
            with pytest.raises(AdapterLost):
                await Port.open(url, 38_400, 2.0)

    asyncio.run(body())


def test_a_port_that_hangs_in_opening_is_left(fake: FakeElm, monkeypatch: pytest.MonkeyPatch) -> None:
    import serial

    opened: list[serial.SerialBase] = []
    may_go_on = threading.Event()
    real = serial.serial_for_url

    def slow(*args: object, **options: object) -> serial.SerialBase:
        may_go_on.wait(10)
        opened.append(real(*args, **options))
        return opened[0]

    monkeypatch.setattr("edge.sensors.obd.port.serial.serial_for_url", slow)

    async def body() -> None:
        begun_s = time.monotonic()
        with pytest.raises(AdapterLost):
            await Port.open(str(fake.link), 38_400, 0.2)
        assert time.monotonic() - begun_s < 1

    asyncio.run(body())
    may_go_on.set()
    until_s = time.monotonic() + 5
    while not (opened and not opened[0].is_open):  # what was opened too late is closed again
        assert time.monotonic() < until_s
        time.sleep(0.01)


def test_an_adapter_behind_a_socket() -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        typed = b""
        with connection:
            while data := connection.recv(100):
                typed += data
                while b"\r" in typed:
                    command, typed = typed.split(b"\r", 1)
                    text = command.strip()
                    answers = {b"ATZ": b"\r\rELM327 v2.1", b"ATI": b"ELM327 v2.1", b"ATRV": b"13.9V"}
                    connection.sendall(command + b"\r" + answers.get(text, b"OK") + b"\r\r>")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()

        async def body() -> None:
            port = await Port.open(f"socket://127.0.0.1:{listener.getsockname()[1]}", 0, 2.0)
            try:
                elm = await Elm.start(port, 2.0, 3.0)
                assert elm.identity == "ELM327 v2.1"
                assert await elm.voltage_v() == 13.9
            finally:
                await port.close()

        asyncio.run(asyncio.wait_for(body(), 10))
        thread.join(5)


def test_silence_of_the_vehicle_and_of_the_adapter_are_told_apart() -> None:
    assert is_vehicle_away(BusError("no_data", "NO DATA"))
    assert is_vehicle_away(BusError("unable_to_connect", "UNABLE TO CONNECT"))
    assert not is_vehicle_away(BusError("buffer_full", "BUFFER FULL"))
    assert not is_vehicle_away(AdapterSilent("no prompt"))
    assert not is_vehicle_away(BadAnswer("x"))
