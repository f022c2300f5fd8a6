"""Bytes to and from the adapter: a serial or USB port, a pty, or socket://host:port. Nothing here blocks the loop.

pyserial opens and configures; reading and writing is done by the event loop on its file descriptor. Opening and
closing can hang in a driver, so both happen in a thread that is given up after its deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
import os
import select
import termios
import threading
from typing import Protocol, TypeVar, cast

import serial

from edge.sensors.obd.errors import AdapterLost, AdapterSilent

T = TypeVar("T")

_BUFFER_BYTES = 1 << 16
_PORT_ERRORS = (serial.SerialException, OSError, ValueError, termios.error)


class PortWatch(Protocol):
    """Is told what passes a port, as it passes."""

    def sent(self, data: bytes) -> None:
        """These bytes were taken by the line."""

    def received(self, data: bytes) -> None:
        """These bytes have arrived."""

    def silent(self, reason: str) -> None:
        """A deadline has passed, or chatter was given up."""

    def lost(self, reason: str) -> None:
        """The connection has ended."""

    def closed(self) -> None:
        """The port was given back."""


class Port:
    """An open connection to an adapter. Made by `Port.open`; closed once."""

    watch: PortWatch | None = None

    def __init__(self, connection: serial.SerialBase) -> None:
        self._connection = connection
        self._fd: int = connection.fileno()
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._lost: str | None = None
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._on_readable)

    @classmethod
    async def open(cls, url: str, baud: int, deadline_s: float) -> "Port":
        """Open `url`; `baud` matters to real serial lines only. `AdapterLost` says why it cannot be opened."""
        doing = f"opening {url}"
        if any(thread.name == doing for thread in threading.enumerate()):
            # A driver or a name server that hangs must not cost another thread at each attempt.
            raise AdapterLost(f"{doing}: the last attempt still hangs")

        def connect() -> serial.SerialBase:
            options = {} if "://" in url else {"exclusive": True}
            return serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=0, **options)

        return cls(await _in_thread(connect, deadline_s, doing, late=lambda made: made.close()))

    async def close(self) -> None:
        """Give the port back. Waits a second at most for the driver."""
        if self.watch is not None:
            self.watch.closed()
        self._loop.remove_reader(self._fd)
        self._lost = self._lost or "closed"
        with suppress(AdapterLost):
            await _in_thread(self._connection.close, 1.0, "closing")

    def discard(self) -> int:
        """Throw away what has arrived and was not read; how many bytes it was."""
        # A tty without data reads as nothing, like one that has ended: ask first.
        if self._lost is None and select.select([self._fd], [], [], 0)[0]:
            self._on_readable()
        size = len(self._buffer)
        self._buffer.clear()
        return size

    async def write(self, data: bytes, until: float) -> None:
        """Write all of `data` before the loop time `until`."""
        while True:
            self._check()
            try:
                size = os.write(self._fd, data)
                if self.watch is not None:
                    self.watch.sent(data[:size])
                data = data[size:]
            except BlockingIOError:
                pass
            except OSError as err:
                raise self._fail(f"write: {err.strerror}") from err
            if not data:
                return
            if self._loop.time() >= until:
                raise self._silence("the adapter takes no bytes")
            await asyncio.sleep(0.005)

    async def read_until(self, end: bytes, until: float) -> bytes:
        """What arrives up to `end` (not included). `AdapterSilent` at loop time `until`: what has come stays unread."""
        while True:
            self._arrived.clear()
            found = self._buffer.find(end)
            if found >= 0:
                text = bytes(self._buffer[:found])
                del self._buffer[: found + len(end)]
                return text
            self._check()
            if len(self._buffer) > _BUFFER_BYTES:
                self._buffer.clear()
                raise self._silence("the adapter chatters without a prompt")
            left_s = until - self._loop.time()
            if left_s <= 0:
                raise self._silence("no prompt within the deadline")
            # Not wait_for: in Python 3.11 it can swallow a cancellation that comes together with the bytes.
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._arrived.wait()

    @property
    def unread(self) -> bytes:
        """What has arrived and was not read."""
        return bytes(self._buffer)

    def _on_readable(self) -> None:
        if self._lost is not None:
            return
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError as err:
            self._fail(f"read: {err.strerror}")
            return
        if data:
            self._buffer += data
            self._arrived.set()
            if self.watch is not None:
                self.watch.received(data)
        else:
            self._fail("the port reached its end: unplugged")

    def _check(self) -> None:
        if self._lost is not None:
            raise AdapterLost(self._lost)

    def _silence(self, reason: str) -> AdapterSilent:
        if self.watch is not None:
            self.watch.silent(reason)
        return AdapterSilent(reason)

    def _fail(self, reason: str) -> AdapterLost:
        if self._lost is None:
            if self.watch is not None:
                self.watch.lost(reason)
            self._lost = reason
            self._loop.remove_reader(self._fd)
            self._arrived.set()
        return AdapterLost(self._lost)


OpenPort = Callable[[str, int, float], Awaitable[Port]]
"""How a sensor gets its port: `Port.open`, or something that plays one."""


async def _in_thread(
    work: Callable[[], T], deadline_s: float, doing: str, late: Callable[[T], object] | None = None
) -> T:
    """Run `work` in a thread of its own; after `deadline_s` it is left behind and `late` gets what it still makes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    guard = threading.Lock()
    is_left = False

    def deliver(result: T | None, error: Exception | None) -> None:
        if done.cancelled():
            if late is not None and result is not None:
                late(result)
        elif error is None:
            done.set_result(cast(T, result))
        else:
            done.set_exception(error)

    def body() -> None:
        result: T | None = None
        error: AdapterLost | None = None
        try:
            result = work()
        except _PORT_ERRORS as err:
            error = AdapterLost(f"{doing}: {err}")
        with guard:
            if not is_left:
                loop.call_soon_threadsafe(deliver, result, error)
            elif late is not None and result is not None:
                late(result)

    threading.Thread(target=body, name=doing, daemon=True).start()
    try:
        async with asyncio.timeout(deadline_s):
            return await done
    except TimeoutError:
        raise AdapterLost(f"{doing}: no end within {deadline_s:g} s") from None
    finally:
        with guard:
            is_left = True
