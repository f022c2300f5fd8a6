"""gpsd's protocol without a socket: a stream reader fed by hand, and a writer that keeps what it is given."""

import asyncio
from datetime import UTC, datetime
import json
from typing import Any, cast

import pytest

from edge.simulator.gpsd import GpsdServer
from edge.simulator.receiver import Fix

AT = datetime(2026, 5, 4, 3, 2, 10, tzinfo=UTC)
FIX = Fix(3, 47.1410123, 9.5209456, 455.0, 13.9, 181.5, 0.1, 5.2, 9.1, 0.95, 9)


class KeptWriter:
    """What a StreamWriter does here, into memory."""

    def __init__(self) -> None:
        self.sent = b""
        self.backlog = 0
        self.transport = self

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        pass

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.sent.split(b"\r\n") if line]


async def talk(server: GpsdServer, *lines: bytes) -> tuple[KeptWriter, asyncio.StreamReader, asyncio.Task[None]]:
    reader, writer = asyncio.StreamReader(), KeptWriter()
    task = asyncio.create_task(server._accept(reader, cast(asyncio.StreamWriter, writer)))
    for line in lines:
        reader.feed_data(line)
    for _ in range(5):
        await asyncio.sleep(0)
    return writer, reader, task


@pytest.mark.parametrize(
    "watch",
    [b'?WATCH={"enable":true,"json":true};\n', b'?WATCH={"enable":true,"json":true}\n', b'?WATCH={"json":true};'],
)
def test_greeting_and_watch(watch: bytes) -> None:
    async def scenario() -> list[dict[str, Any]]:
        server = GpsdServer()
        writer, reader, task = await talk(server, watch)
        server.publish(FIX, AT)
        server.publish(Fix(1), AT.replace(second=11))
        reader.feed_eof()
        await task
        assert not server.has_clients
        return writer.objects()

    version, devices, watching, tpv, sky, blind = asyncio.run(scenario())
    assert (version["class"], version["proto_major"]) == ("VERSION", 3)
    assert devices["devices"][0]["class"] == "DEVICE"
    assert (watching["class"], watching["enable"], watching["json"]) == ("WATCH", True, True)
    assert (tpv["class"], tpv["mode"], tpv["time"]) == ("TPV", 3, "2026-05-04T03:02:10.000Z")
    assert (tpv["lat"], tpv["lon"], tpv["speed"], tpv["track"]) == (47.1410123, 9.5209456, 13.9, 181.5)
    assert (sky["class"], sky["hdop"], sky["uSat"], sky["nSat"]) == ("SKY", 0.95, 9, 11)
    assert sum(s["used"] for s in sky["satellites"]) == 9
    assert (blind["class"], blind["mode"], "lat" in blind) == ("TPV", 1, False)


def test_nothing_is_sent_to_those_who_do_not_watch() -> None:
    async def scenario() -> list[dict[str, Any]]:
        server = GpsdServer()
        writer, reader, task = await talk(server, b'?WATCH={"enable":true,"json":true};?WATCH={"enable":false};\n')
        server.publish(FIX, AT)
        reader.feed_eof()
        await task
        return writer.objects()

    assert [o["class"] for o in asyncio.run(scenario())] == ["VERSION", "DEVICES", "WATCH", "DEVICES", "WATCH"]


def test_questions_and_nonsense() -> None:
    async def scenario() -> list[dict[str, Any]]:
        server = GpsdServer()
        server.publish(FIX, AT)
        writer, reader, task = await talk(
            server, b"?VERSION;?DEVICES;?DEVI", b"CE;?POLL;\n?WATCH;\n", b"?WATCH={nonsense};?FLY;\r\n"
        )
        reader.feed_eof()
        await task
        return writer.objects()[1:]

    answers = asyncio.run(scenario())
    kinds = [o["class"] for o in answers]
    assert kinds == ["VERSION", "DEVICES", "DEVICE", "POLL", "DEVICES", "WATCH", "ERROR", "ERROR"]
    assert answers[3]["tpv"][0]["mode"] == 3
    assert answers[-1]["message"] == "Unrecognized request '?FLY'"


def test_a_client_that_does_not_read_is_left_without() -> None:
    async def scenario() -> int:
        server = GpsdServer()
        writer, reader, task = await talk(server, b'?WATCH={"enable":true,"json":true};\n')
        before, writer.backlog = len(writer.sent), 1_000_000
        server.publish(FIX, AT)
        reader.feed_eof()
        await task
        return len(writer.sent) - before

    assert asyncio.run(scenario()) == 0
