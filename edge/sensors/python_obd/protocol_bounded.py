"""Serial ports that python-OBD cannot hang on: `bounded://NAME`, by a handler of the kind that pyserial looks for.

python-OBD waits ten seconds for a byte, ten times over, and for ever while an adapter chatters. Here every exchange has
a deadline, counted from what was written last, and ends at once when somebody else says so.
"""

from collections.abc import Callable
import time
from typing import Any

import serial
from serial.urlhandler import protocol_socket

_SLICE_S = 0.1  # the longest wait for a byte before the deadline is looked at again
_SEARCH = b"0100\r"  # the adapter may look for the vehicle's protocol

LINES: dict[str, "Line"] = {}
"""Ports by the name that stands in the URL; pyserial has no other way to hand something to a handler."""


class Line:
    """A port and its bounds. `is_ended` may be set by another thread."""

    def __init__(self, port: str, deadline_s: float, search_deadline_s: float) -> None:
        """Deadlines of one exchange; the second where the adapter may search."""
        self.port = port
        self.deadline_s = deadline_s
        self.search_deadline_s = search_deadline_s
        self.is_ended = False
        self.has_opened = False
        self._until_s = 0.0

    def written(self, data: bytes) -> None:
        """An exchange begins."""
        self._until_s = time.monotonic() + (self.search_deadline_s if data == _SEARCH else self.deadline_s)

    def check(self) -> None:
        """Raises what python-OBD takes for a lost connection."""
        if self.is_ended:
            raise serial.SerialException("ended")
        if time.monotonic() > self._until_s:
            raise serial.SerialException("no prompt within the deadline")


class _Bounded:
    """Goes before a class of pyserial."""

    line: Line

    def open(self) -> None:
        super().open()  # type: ignore[misc]  # pyserial's, which comes next
        self.line.has_opened = True

    def write(self, data: bytes) -> Any:
        self.line.written(bytes(data))
        return super().write(data)  # type: ignore[misc]  # pyserial's, which comes next

    def read(self, size: int = 1) -> bytes:
        while True:
            self.line.check()
            if data := super().read(size):  # type: ignore[misc]  # pyserial's, which comes next
                return bytes(data)


class _Device(_Bounded, serial.Serial):  # type: ignore[misc]  # pyserial has no types
    pass


class _Socket(_Bounded, protocol_socket.Serial):  # type: ignore[misc]  # pyserial has no types
    pass


def serial_class_for_url(url: str) -> tuple[str, Callable[..., Any]]:
    """What pyserial asks a handler for: the port, and what makes the object for it."""
    line = LINES[url.removeprefix("bounded://")]
    is_socket = "://" in line.port

    def make(*args: Any, **options: Any) -> Any:
        options["timeout"] = _SLICE_S
        made = _Socket(*args, **options) if is_socket else _Device(*args, exclusive=True, **options)
        made.line = line
        return made

    return line.port, make
