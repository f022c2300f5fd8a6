"""The pull connection takes operations out of any split of the bytes."""

import asyncio
from itertools import pairwise
import json

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cloud.broker_login import NO_LOGIN, PasswordLogin
from cloud.ingest.puller import PullConnection, Puller
from sync_protocol.errors import Unavailable

STREAM_OF_BYTES = (
    b'INFO {"server_id":"x"}\r\n'
    b"PONG\r\n"
    b"MSG f.demo.van-1 1 $JS.ACK.1 5\r\nab\r\nc\r\n"
    b"PING\r\n"
    b"HMSG f.demo.van-2 1 $JS.ACK.2 12 15\r\nNATS/1.0\r\n\r\nxyz\r\n"
    b"HMSG _I.x 1 60 60\r\nNATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n\r\n"
    b"-ERR 'Slow Consumer'\r\n"
    b"MSG f.demo.van-3 1 $JS.ACK.3 0\r\n\r\n"
)


class Wire(asyncio.Transport):
    """Remembers what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += bytes(data)

    def is_closing(self) -> bool:
        """Never."""
        return False

    def abort(self) -> None:
        """Nothing to end."""


@given(cuts=st.lists(st.integers(0, len(STREAM_OF_BYTES)), max_size=12))
def test_any_split_gives_the_same_messages(cuts: list[int]) -> None:
    async def scenario() -> None:
        messages: list[tuple[str, bytes, str]] = []
        statuses: list[bytes] = []
        connection = PullConnection(
            PasswordLogin("me", "secret"), "_I.x", lambda *m: messages.append(m), statuses.append
        )
        wire = Wire()
        connection.connection_made(wire)
        edges = [0, *sorted(cuts), len(STREAM_OF_BYTES)]
        for first, last in pairwise(edges):
            connection.data_received(STREAM_OF_BYTES[first:last])
        assert messages == [
            ("f.demo.van-1", b"ab\r\nc", "$JS.ACK.1"),
            ("f.demo.van-2", b"xyz", "$JS.ACK.2"),
            ("f.demo.van-3", b"", "$JS.ACK.3"),
        ]
        assert len(statuses) == 1
        assert b"Nats-Pending-Messages: 3" in statuses[0]
        assert connection.ready.done()
        hello, *rest = wire.written.split(b"\r\n")
        assert json.loads(hello.removeprefix(b"CONNECT "))["pass"] == "secret"
        assert rest == [b"SUB _I.x 1", b"PING", b"PONG", b""]
        connection.connection_lost(None)
        assert connection.lost.done()

    asyncio.run(scenario())


def test_nobody_there_is_said_plainly() -> None:
    async def scenario() -> None:
        puller = Puller("nats://127.0.0.1:1", NO_LOGIN, "_I.x", lambda *_: None, lambda _: None)
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
            await puller.connect()
        assert not puller.is_connected

    asyncio.run(scenario())


def test_many_messages_go_out_in_one_write() -> None:
    async def scenario() -> None:
        connection = PullConnection(None, "_I.x", lambda *_: None, lambda _: None)
        wire = Wire()
        connection.connection_made(wire)
        connection.publish_all([("d.demo.van-1", b"a\r\nb"), ("d.demo.van-2", b"")])
        assert wire.written == b"PUB d.demo.van-1 4\r\na\r\nb\r\nPUB d.demo.van-2 0\r\n\r\n"

    asyncio.run(scenario())
