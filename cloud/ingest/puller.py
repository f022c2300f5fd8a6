"""The connection for the many: nats-py spends more on each message than decoding it costs, this spends a tenth.

Speaks the part of the NATS client protocol that a pull consumer needs: INFO, CONNECT, SUB, PUB, MSG, HMSG, PING, PONG.
"""

import asyncio
from collections.abc import Callable, Sequence
import json
import random
from typing import cast

import structlog

from cloud.broker_login import Login
from sync_protocol.errors import Unavailable

log = structlog.get_logger()

_FIRST_DELAY_S, _MAX_DELAY_S = 0.1, 2.0
_DEAD_AFTER_S = 20.0


class PullConnection(asyncio.Protocol):
    """Parses what the broker sends. `on_message(subject, data, reply)` and `on_status(headers)` are called at once."""

    def __init__(
        self,
        login: Login,
        inbox: str,
        on_message: Callable[[str, bytes, str], None],
        on_status: Callable[[bytes], None],
    ) -> None:
        self._login = login
        self._inbox = inbox
        self._on_message = on_message
        self._on_status = on_status
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard_at = asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The broker speaks first."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        for future in (self.ready, self.lost):
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send one message."""
        self._write(b"PUB %b %b %d\r\n%b\r\n" % (subject.encode(), reply.encode(), len(data), data))

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send many messages in one write: (subject, data) each."""
        self._write(b"".join([b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(data), data) for to, data in messages]))

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._write(b"PING\r\n")

    def _write(self, data: bytes) -> None:
        # uvloop, unlike asyncio, raises when a transport that has been lost is written to.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Take every whole operation out of the buffer."""
        self.heard_at = asyncio.get_running_loop().time()
        buffer = self._buffer + data if self._buffer else data
        at, size = 0, len(buffer)
        while (line := buffer.find(b"\r\n", at)) >= 0:
            if buffer.startswith((b"MSG ", b"HMSG "), at):
                words = buffer[at:line].split(b" ")
                body, length = line + 2, int(words[-1])
                if body + length + 2 > size:
                    break
                self._message(words, buffer[body : body + length])
                at = body + length + 2
            else:
                self._operation(buffer[at:line])
                at = line + 2
        self._buffer = buffer[at:]

    def _message(self, words: list[bytes], content: bytes) -> None:
        """MSG <subject> <sid> [reply] <#bytes>, HMSG <subject> <sid> [reply] <#headers> <#bytes>."""
        if words[0] == b"HMSG":
            head = int(words[-2])
            if len(words) == 5:
                self._on_status(content[:head])
                return
            self._on_message(words[1].decode(), content[head:], words[3].decode())
        elif len(words) == 5:
            self._on_message(words[1].decode(), content, words[3].decode())

    def _operation(self, line: bytes) -> None:
        if line.startswith(b"PING"):
            self._write(b"PONG\r\n")
        elif line.startswith(b"PONG"):
            if not self.ready.done():
                self.ready.set_result(None)
        elif line.startswith(b"INFO"):
            self._introduce(json.loads(line[5:]).get("nonce", ""))
        elif line.startswith(b"-ERR"):
            log.warning("broker_error", reason=line[5:].decode(errors="replace").strip("' "))

    def _introduce(self, nonce: str) -> None:
        options: dict[str, object] = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "lang": "python",
            "version": "1",
            "protocol": 1,
            "name": "milepost-ingest-pull",
        }
        options |= self._login.answer(nonce)
        if self._transport is not None and not self.ready.done():
            sub = f"SUB {self._inbox} 1\r\nPING\r\n"
            self._transport.write(b"CONNECT " + json.dumps(options).encode() + b"\r\n" + sub.encode())


class Puller:
    """Keeps a `PullConnection` open, with a jittered pause between attempts."""

    def __init__(
        self,
        url: str,
        login: Login,
        inbox: str,
        on_message: Callable[[str, bytes, str], None],
        on_status: Callable[[bytes], None],
    ) -> None:
        host, _, port = url.rpartition("/")[2].rpartition("@")[2].partition(":")
        self._address = host, int(port or 4222)
        self._tls = login.tls()
        self._make = lambda: PullConnection(login, inbox, on_message, on_status)
        self._connection: PullConnection | None = None
        self.connects = 0

    @property
    def is_connected(self) -> bool:
        """Whether messages can come."""
        return self._connection is not None and not self._connection.lost.done()

    async def connect(self) -> None:
        """One attempt. `Unavailable` when it fails."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(5):
                _, connection = await loop.create_connection(self._make, *self._address, ssl=self._tls)
                await connection.ready
        except (OSError, TimeoutError) as err:
            raise Unavailable(f"broker {self._address[0]}:{self._address[1]}: {err or 'no answer'}") from err
        if connection.lost.done():
            raise Unavailable("the broker closed the connection")
        self._connection = connection
        self.connects += 1

    async def run(self) -> None:
        """Connect again whenever the connection is lost or silent. Runs until cancelled."""
        delay_s = _FIRST_DELAY_S
        try:
            while True:
                if self.is_connected:
                    delay_s = _FIRST_DELAY_S
                    await self._watch()
                    continue
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
                try:
                    await self.connect()
                except Unavailable:
                    delay_s = min(delay_s * 2, _MAX_DELAY_S)
        finally:
            self.close()

    async def _watch(self) -> None:
        connection = self._connection
        assert connection is not None
        while not connection.lost.done():
            await asyncio.wait([connection.lost], timeout=_DEAD_AFTER_S / 2)
            if asyncio.get_running_loop().time() - connection.heard_at > _DEAD_AFTER_S:
                connection.close()
            else:
                connection.ping()

    def publish(self, subject: str, data: bytes, reply: str = "") -> None:
        """Send if there is a connection."""
        if self._connection is not None and self.is_connected:
            self._connection.publish(subject, data, reply)

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send many at once if there is a connection."""
        if messages and self._connection is not None and self.is_connected:
            self._connection.publish_all(messages)

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
