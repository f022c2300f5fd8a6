"""The live WebSocket: a snapshot, then changes; a slow client gets the freshest state, not a queue."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import nats
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.api.conftest import Service
from tests.support.caller import demo_token, subprotocols
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive

Socket = websockets.ClientConnection


def connect(service: Service, query: str = "", **options: Any) -> websockets.connect:
    url = service.process.url
    offered = subprotocols(demo_token(url))
    return websockets.connect(f"{url.replace('http', 'ws')}/api/v1/live{query}", subprotocols=offered, **options)


async def message(socket: Socket, kind: str) -> Any:
    async with asyncio.timeout(10):
        while True:
            parsed = json.loads(await socket.recv())
            if parsed["type"] == kind:
                return parsed


async def publish(service: Service, name: str, work: Callable[[FakeDevice], Awaitable[None]]) -> None:
    client = await nats.connect(service.process.nats_url)
    try:
        await work(await FakeDevice(client, name).listen())
    finally:
        await client.close()


def vehicle_id(service: Service, name: str) -> int:
    return int(service.http.get("/api/v1/vehicles", params={"q": name}).json()["items"][0]["id"])


def test_snapshot_then_changes(service: Service) -> None:
    async def main() -> None:
        drive = Drive(20, epoch_ms=time.time_ns() // 1_000_000 - 60_000)
        async with connect(service) as socket:
            snapshot = await message(socket, "snapshot")
            van = next(v for v in snapshot["vehicles"] if v["id"] == vehicle_id(service, "van-01"))
            assert {"id", "status", "ts_ms", "lat_deg", "lon_deg", "heading_deg", "speed_kmh", "values"} == van.keys()
            assert len(van["values"]) > 20
            datetime.fromisoformat(snapshot["at"])

            async def work(device: FakeDevice) -> None:
                await device.send(drive.frame(1))

            await publish(service, "live-01", work)
            changes = await message(socket, "changes")
            assert [v["id"] for v in changes["vehicles"]] == [vehicle_id(service, "live-01")]
            assert changes["vehicles"][0]["ts_ms"] == drive.utc_ms(drive.first_ms(1)) + 9_000

    asyncio.run(main())


def test_a_client_may_ask_for_some_vehicles(service: Service) -> None:
    async def main() -> None:
        wanted = vehicle_id(service, "van-02")
        async with connect(service, f"?vehicles={wanted}") as socket:
            snapshot = await message(socket, "snapshot")
            assert [v["id"] for v in snapshot["vehicles"]] == [wanted]

    asyncio.run(main())


def test_a_wrong_query_closes_with_a_reason(service: Service) -> None:
    async def main() -> None:
        async with connect(service, "?vehicles=van") as socket:
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400
        assert "ids separated by commas" in closed.value.rcvd.reason

    asyncio.run(main())


def test_pages_of_other_sites_get_nothing(service: Service) -> None:
    async def main() -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(service, origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403

    asyncio.run(main())


def test_at_most_ten_changes_a_second(service: Service) -> None:
    async def main() -> None:
        drive = Drive(21, rows=1, epoch_ms=time.time_ns() // 1_000_000 - 600_000)
        async with connect(service) as socket:
            await message(socket, "snapshot")

            async def work(device: FakeDevice) -> None:
                for seq in range(1, 101):
                    await device.send(drive.frame(seq))
                    await device.client.flush()

            started = time.monotonic()
            await publish(service, "live-02", work)
            count = 0
            newest = drive.utc_ms(drive.first_ms(100))
            while (await message(socket, "changes"))["vehicles"][-1]["ts_ms"] != newest:
                count += 1
            assert count <= (time.monotonic() - started) * 10 + 2

    asyncio.run(main())


@pytest.mark.slow
def test_a_slow_client_gets_the_freshest_state(service: Service) -> None:
    """A client that stops reading while 8 MB of changes happen finds the newest state behind what was on the way."""
    rounds, vehicles = 45, 200

    async def main() -> None:
        start = time.time_ns() // 1_000_000 - 4_000_000
        drives = {f"slow-{n}": Drive(100 + n, rows=1, epoch_ms=start) for n in range(vehicles)}
        frames = {name: drive.frames(1, rounds) for name, drive in drives.items()}
        rows = [[(f"f.demo.{name}", next(made)) for name, made in frames.items()] for _ in range(rounds)]
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = urlsplit(service.process.url)
        narrow.connect((url.hostname, url.port))
        async with connect(service, max_queue=1, compression=None, sock=narrow) as slow:
            await message(slow, "snapshot")

            async def work(device: FakeDevice) -> None:
                for row in rows:
                    for subject, data in row:
                        await device.client.publish(subject, data)
                    await device.client.flush()
                    await asyncio.sleep(0.1)
                last = drives["slow-0"]
                await device.until_acked(last.stream_id, {rounds: last.frame(rounds)})

            await publish(service, "slow-0", work)
            wanted = vehicle_id(service, "slow-0")
            newest = drives["slow-0"].utc_ms(drives["slow-0"].first_ms(rounds))
            seen: list[int] = []
            while not seen or seen[-1] != newest:
                changes = await message(slow, "changes")
                seen += [v["ts_ms"] for v in changes["vehicles"] if v["id"] == wanted]
        assert seen == sorted(seen)
        assert len(seen) < rounds * 2 // 3, "the service kept a queue"

    asyncio.run(main())
