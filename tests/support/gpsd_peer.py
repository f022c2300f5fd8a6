"""Two gpsds: a fake one that says what it is told, and Debian's, fed by NMEA over UDP."""

import asyncio
from collections.abc import Iterator
import contextlib
from contextlib import contextmanager
import json
import shutil
import signal
import socket
import subprocess
import time
from typing import Any

import pytest

VERSION = {"class": "VERSION", "release": "3.22", "rev": "3.22", "proto_major": 3, "proto_minor": 14}


class FakeGpsd:
    """Serves on a free port of the loopback. `send` goes to all who listen; `is_hung` stops every word."""

    def __init__(self) -> None:
        self.port = 0
        self.is_hung = False
        self.connections = 0
        self.requests: list[bytes] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen: on a free port at first, on the same one afterwards."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Go away, with all connections."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0.001)
        await self._server.wait_closed()

    async def __aenter__(self) -> "FakeGpsd":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def send(self, *reports: dict[str, Any] | bytes) -> None:
        """Reports as JSON lines, or bytes as they are."""
        for writer in self._writers:
            for report in reports:
                writer.write(report if isinstance(report, bytes) else json.dumps(report).encode() + b"\r\n")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        self._greet(writer)
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self.requests.append(line.strip())
                if line.startswith(b"?VERSION"):
                    self._greet(writer)
        self._writers.discard(writer)
        writer.close()

    def _greet(self, writer: asyncio.StreamWriter) -> None:
        if not self.is_hung:
            writer.write(json.dumps(VERSION).encode() + b"\r\n")


def free_port(kind: socket.SocketKind) -> int:
    """A port of the loopback that nobody had a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gpsd:
    """Debian's gpsd. `feed` gives it bytes of a receiver; `pause` hangs it, `resume` lets it go on."""

    def __init__(self) -> None:
        self.port = free_port(socket.SOCK_STREAM)
        self._in_port = free_port(socket.SOCK_DGRAM)
        self._feed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it, and wait until it accepts connections."""
        program = shutil.which("gpsd") or "/usr/sbin/gpsd"
        source = f"udp://127.0.0.1:{self._in_port}"
        self._process = subprocess.Popen(
            [program, "-N", "-n", "-D0", "-S", str(self.port), source], stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert self._process.poll() is None, "gpsd ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("gpsd does not listen")

    def feed(self, data: bytes) -> None:
        """Bytes as from a receiver."""
        self._feed.sendto(data, ("127.0.0.1", self._in_port))

    def pause(self) -> None:
        """Hang: connections stand, nothing is said."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(5)
            self._process = None

    def close(self) -> None:
        """End it and the feed."""
        self.kill()
        self._feed.close()


@contextmanager
def gpsd() -> Iterator[Gpsd]:
    """A running gpsd; skips the test on a machine that has none."""
    if shutil.which("gpsd") is None and shutil.which("gpsd", path="/usr/sbin") is None:
        pytest.skip("gpsd is not installed")
    peer = Gpsd()
    try:
        peer.start()
        yield peer
    finally:
        peer.close()
