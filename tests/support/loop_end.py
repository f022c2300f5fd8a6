"""The far end of an adapter's port in a test's event loop: a sensor opens it, bytes go both ways, it can vanish."""

import asyncio
import socket
from typing import cast

import serial

from edge.sensors.obd.errors import AdapterLost
from edge.sensors.obd.port import Port


class _Connection:
    """The part of a serial connection that `Port` uses."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()


class LoopEnd:
    """`open` is what a sensor is given to open its port with; `opened` holds at which speeds it did."""

    def __init__(self) -> None:
        self.is_plugged = True
        self.opened: list[int] = []
        self.end: socket.socket | None = None

    async def open(self, _url: str, baud: int, _deadline_s: float) -> Port:
        """As `Port.open`."""
        if not self.is_plugged:
            raise AdapterLost("opening: no such file")
        self.hang_up()
        self.opened.append(baud)
        ours, self.end = socket.socketpair()
        self.end.setblocking(False)
        asyncio.get_running_loop().add_reader(self.end, self._readable, self.end)
        return Port(cast(serial.SerialBase, _Connection(ours)))

    def unplug(self) -> None:
        """End the connection; nobody can open another."""
        self.is_plugged = False
        self.hang_up()

    def plug(self) -> None:
        """Be there again."""
        self.is_plugged = True

    def send(self, data: bytes) -> None:
        """Bytes to whoever has it open."""
        if self.end is not None:
            try:
                self.end.send(data)
            except (BrokenPipeError, BlockingIOError):
                return

    def heard(self, data: bytes) -> None:
        """Bytes have come."""

    def hang_up(self) -> None:
        """End the connection."""
        if self.end is not None:
            asyncio.get_running_loop().remove_reader(self.end)
            self.end.close()
            self.end = None

    def _readable(self, end: socket.socket) -> None:
        try:
            data = end.recv(4096)
        except ConnectionError:
            data = b""
        if data:
            self.heard(data)
        else:
            self.hang_up()
