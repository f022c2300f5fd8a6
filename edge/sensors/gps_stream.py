"""The connection to gpsd, line by line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

_LINE_BYTES = 1 << 20


class GpsdStream(Protocol):
    """What the position sensor needs of a connection."""

    async def readline(self) -> bytes:
        """The next line with its end; less when the connection was closed. ValueError for one beyond the limit."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def close(self) -> None:
        """Hang up."""


OpenStream = Callable[[str, int], Awaitable[GpsdStream]]
"""How the sensor connects to host and port: `TcpStream.open`, or something that plays gpsd. OSError when it cannot."""


class TcpStream:
    """A TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> "TcpStream":
        """Connect. OSError says why it cannot."""
        return cls(*await asyncio.open_connection(host, port, limit=_LINE_BYTES))

    async def readline(self) -> bytes:
        """See `GpsdStream`."""
        return await self._reader.readline()

    def write(self, data: bytes) -> None:
        """See `GpsdStream`."""
        self._writer.write(data)

    def close(self) -> None:
        """See `GpsdStream`."""
        self._writer.close()
