"""Listens to what one sensor reads from its clock and what passes its connection, and writes it into a recording."""

import asyncio
from collections.abc import Callable
import time

from edge.sensors.gps_stream import GpsdStream, OpenStream, TcpStream
from edge.sensors.obd.errors import AdapterLost
from edge.sensors.obd.port import OpenPort, Port
from edge.sensors.recorder import Recorder
from edge.sensors.recording import BusLine, Direction, GpsLine


def precise_boot_ms() -> float:
    """CLOCK_BOOTTIME in milliseconds, to the microsecond."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000 / 1000


class Wiretap:
    """Costs nothing worth a word until `recorder` is set."""

    def __init__(
        self,
        line: type[BusLine] | type[GpsLine],
        clock: Callable[[], int],
        precise_ms: Callable[[], float] = precise_boot_ms,
    ) -> None:
        self._line = line
        self._clock = clock
        self._precise_ms = precise_ms
        self._reads: list[int] = []
        self._owner: asyncio.Task[object] | None = None
        self.recorder: Recorder | None = None

    def clock(self) -> int:
        """The sensor's clock, boot_ms."""
        now_ms = self._clock()
        if self.recorder is not None:
            self._reads.append(now_ms)
        return now_ms

    def note(self, direction: Direction, data: bytes = b"", note: str = "") -> None:
        """Write down what passed just now."""
        if self.recorder is None:
            return
        at_ms = self._precise_ms()
        now = tuple(read_ms - int(at_ms) for read_ms in self._reads)
        self._reads.clear()
        is_guest = direction in ("tx", "silent") and asyncio.current_task() is not self._owner
        self.recorder.write(self._line(at_ms, direction, data.decode("latin-1"), note, now, is_guest))

    def end(self) -> None:
        """Stop listening."""
        self.note("end")
        self.recorder = None
        self._reads.clear()


class BusWiretap(Wiretap):
    """Is a `PortWatch`."""

    def __init__(
        self,
        clock: Callable[[], int],
        open_port: OpenPort = Port.open,
        precise_ms: Callable[[], float] = precise_boot_ms,
    ) -> None:
        super().__init__(BusLine, clock, precise_ms)
        self._open_port = open_port

    async def open(self, url: str, baud: int, deadline_s: float) -> Port:
        """As `Port.open`. The task that opens is the sensor's own; others that use the port are its guests."""
        self._owner = asyncio.current_task()
        try:
            port = await self._open_port(url, baud, deadline_s)
        except AdapterLost as err:
            self.note("refused", note=str(err))
            raise
        self.note("open", note=str(baud))
        port.watch = self
        return port

    def sent(self, data: bytes) -> None:
        """See `PortWatch`."""
        self.note("tx", data)

    def received(self, data: bytes) -> None:
        """See `PortWatch`."""
        self.note("rx", data)

    def silent(self, reason: str) -> None:
        """See `PortWatch`."""
        self.note("silent", note=reason)

    def lost(self, reason: str) -> None:
        """See `PortWatch`."""
        self.note("lost", note=reason)

    def closed(self) -> None:
        """See `PortWatch`."""
        self.note("close")


class GpsWiretap(Wiretap):
    """Stands between the position sensor and gpsd."""

    def __init__(
        self,
        clock: Callable[[], int],
        open_stream: OpenStream = TcpStream.open,
        precise_ms: Callable[[], float] = precise_boot_ms,
    ) -> None:
        super().__init__(GpsLine, clock, precise_ms)
        self._open_stream = open_stream

    async def open(self, host: str, port: int) -> GpsdStream:
        """As `TcpStream.open`."""
        self._owner = asyncio.current_task()
        try:
            stream = await self._open_stream(host, port)
        except OSError as err:
            self.note("refused", note=str(err))
            raise
        except asyncio.CancelledError:
            self.note("silent")
            raise
        self.note("open")
        return _TappedStream(stream, self)


class _TappedStream:
    def __init__(self, onward: GpsdStream, tap: GpsWiretap) -> None:
        self._onward = onward
        self._tap = tap

    async def readline(self) -> bytes:
        try:
            line = await self._onward.readline()
        except (OSError, ValueError) as err:
            self._tap.note("lost", note=f"{'value' if isinstance(err, ValueError) else 'os'}: {err}")
            raise
        except asyncio.CancelledError:
            self._tap.note("silent")
            raise
        self._tap.note("rx", line)
        return line

    def write(self, data: bytes) -> None:
        self._tap.note("tx", data)
        self._onward.write(data)

    def close(self) -> None:
        self._tap.note("close")
        self._onward.close()
