"""Bytes and their deadlines."""

import asyncio
import os
import pty
import tty

import pytest

from edge.sensors.obd.errors import AdapterLost, AdapterSilent
from edge.sensors.obd.port import Port


def test_a_full_line_and_one_that_ends() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)

    async def body() -> None:
        port = await Port.open(os.ttyname(slave), 38_400, 2.0)
        loop = asyncio.get_running_loop()
        os.write(master, b"one>two")
        assert await port.read_until(b">", loop.time() + 1) == b"one"
        with pytest.raises(AdapterSilent):
            await port.read_until(b">", loop.time() + 0.05)
        assert port.unread == b"two"
        assert port.discard() == 3
        assert port.discard() == 0
        with pytest.raises(AdapterSilent, match="takes no bytes"):  # nobody reads at the other end
            await port.write(b"x" * 1_000_000, loop.time() + 0.1)
        with pytest.raises(AdapterLost):  # another program holds it
            await Port.open(os.ttyname(slave), 38_400, 2.0)
        os.close(master)
        os.close(slave)
        with pytest.raises(AdapterLost):
            await port.read_until(b">", loop.time() + 1)
        with pytest.raises(AdapterLost):
            await port.write(b"x", loop.time() + 1)
        assert port.discard() == 0
        await port.close()

    asyncio.run(asyncio.wait_for(body(), 10))


def test_a_closed_port_is_lost_and_can_be_opened_again() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)

    async def body() -> None:
        for _ in range(3):
            port = await Port.open(os.ttyname(slave), 38_400, 2.0)
            await port.close()
            with pytest.raises(AdapterLost):
                await port.write(b"x", asyncio.get_running_loop().time() + 1)

    asyncio.run(asyncio.wait_for(body(), 10))
    os.close(master)
    os.close(slave)
