"""The pty: lines in pieces, answers after their delay, interruption, silence, unplugging."""

import asyncio
from collections.abc import Awaitable, Callable
import os
from pathlib import Path

import pytest

from edge.simulator.ecu import control_units
from edge.simulator.elm327 import INSTANT, Elm327, Latency
from edge.simulator.kinds import KINDS
from edge.simulator.pty_port import PtyPort
from edge.simulator.route import load_route
from edge.simulator.vehicle import Vehicle


class Client:
    """A device at the other end."""

    def __init__(self, link: Path) -> None:
        self._fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def send(self, data: bytes) -> None:
        os.write(self._fd, data)

    async def read(self, end: bytes = b">", turns: int = 500) -> bytes:
        arrived = b""
        for _ in range(turns):
            try:
                arrived += os.read(self._fd, 4096)
            except BlockingIOError:
                await asyncio.sleep(0.001)
            if arrived.endswith(end):
                break
        return arrived

    def close(self) -> None:
        os.close(self._fd)


def on_port(tmp_path: Path, latency: Latency, work: Callable[[PtyPort, Client], Awaitable[None]]) -> int:
    """Run `work` at an open port; returns how often the vehicle was brought up to date."""
    advanced: list[None] = []

    async def scenario() -> None:
        vehicle = Vehicle("van", KINDS["van"], load_route("valley"), "1")
        elm = Elm327(vehicle, control_units(vehicle), latency)
        port = PtyPort(elm, tmp_path / "deep" / "obd", lambda: advanced.append(None))
        assert not port.is_open
        port.open()
        client = Client(port.link)
        try:
            await work(port, client)
        finally:
            client.close()
            port.close()
            port.close()
        assert not port.link.is_symlink()

    asyncio.run(scenario())
    return len(advanced)


def test_lines_in_pieces_and_several_at_once(tmp_path: Path) -> None:
    async def work(port: PtyPort, client: Client) -> None:
        client.send(b"AT\x00")
        client.send(b"I\rATE0\r")
        assert await client.read(b"OK\r\r>") == b"ATI\rELM327 v1.5\r\r>ATE0\rOK\r\r>"
        client.send(b"ATL1\rAT@1\r")
        assert await client.read(b"ter\r\n\r\n>") == b"OK\r\n\r\n>OBDII to RS232 Interpreter\r\n\r\n>"

    assert on_port(tmp_path, INSTANT, work) == 4


def test_answers_take_their_time_in_order(tmp_path: Path) -> None:
    async def work(port: PtyPort, client: Client) -> None:
        client.send(b"ATE0\rATI\r")
        assert await client.read(b".5\r\r>") == b"ATE0\rOK\r\r>ELM327 v1.5\r\r>"

    on_port(tmp_path, Latency(command_s=0.01), work)


def test_interruption_drops_the_answer(tmp_path: Path) -> None:
    async def work(port: PtyPort, client: Client) -> None:
        client.send(b"0100\r")
        assert await client.read(b"0100\r") == b"0100\r"
        client.send(b"X\r")
        assert await client.read() == b"STOPPED\r\r>"

    on_port(tmp_path, Latency(search_s=60), work)


def test_silence_and_unplugging(tmp_path: Path) -> None:
    async def work(port: PtyPort, client: Client) -> None:
        client.send(b"ATZ\r")
        assert await client.read(b"ATZ\r") == b"ATZ\r"
        port.is_silent = True  # in the middle of an answer
        client.send(b"ATI\r")
        assert await client.read(turns=60) == b""
        port.is_silent = False
        client.send(b"ATI\r")
        assert (await client.read()).endswith(b"ELM327 v1.5\r\r>")
        client.send(b"0100\r")
        await client.read(b"0100\r")
        port.close()
        assert not port.is_open
        with pytest.raises(OSError, match="Input/output"):
            client.send(b"ATI\r")
        port.open()
        again = Client(port.link)
        again.send(b"ATI\r")
        assert (await again.read()).endswith(b"ELM327 v1.5\r\r>")
        again.close()

    on_port(tmp_path, Latency(reset_s=0.02, search_s=60), work)


def test_nobody_reads(tmp_path: Path) -> None:
    async def work(port: PtyPort, client: Client) -> None:
        for _ in range(300):
            client.send(b"0902\r")
            before = port.requests
            while port.requests == before:
                await asyncio.sleep(0)
        assert port.requests == 300

    on_port(tmp_path, INSTANT, work)
