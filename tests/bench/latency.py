"""From the moment a device closes a frame until a browser has it: the whole service, a real broker, real WebSockets.

Watched vehicles send a frame a second, each to a client of its own, beside a fleet on frames of ten seconds. A client
of the whole fleet is measured too: it is sent changes at most ten times a second, which alone makes 50 ms on average.
"""

import argparse
import asyncio
from pathlib import Path
import tempfile
import time

import httpx
import msgspec
import nats
from nats.aio.client import Client
import numpy as np
from websockets.asyncio.client import connect

from sync_protocol.subjects import up
from tests.bench.report import Figure, report
from tests.support.caller import DemoAuth, demo_token, subprotocols
from tests.support.cloud_process import CloudProcess
from tests.support.frames import CheapFleet


class Vehicle(msgspec.Struct):
    """The part of a live vehicle that tells which frame it came from."""

    id: int
    ts_ms: int


class News(msgspec.Struct):
    """The part of a live message that is measured."""

    type: str
    vehicles: list[Vehicle] = []


class Clock:
    """When each frame was closed, by vehicle name and UTC of its last instant; and the delays found."""

    def __init__(self) -> None:
        self.closed: dict[tuple[int, int], float] = {}
        self.watched: list[float] = []
        self.fleet: list[float] = []


async def listen(url: str, token: str, clock: Clock, into: list[float], ready: asyncio.Event) -> None:
    """A browser that only takes the time."""
    decoder = msgspec.json.Decoder(News)
    async with connect(url, max_size=None, subprotocols=subprotocols(token)) as socket:
        async for text in socket:
            now = time.perf_counter()
            ready.set()
            news = decoder.decode(text)
            if news.type != "changes":
                continue
            for vehicle in news.vehicles:
                closed = clock.closed.get((vehicle.id, vehicle.ts_ms))
                if closed is not None:
                    into.append(now - closed)


async def send_watched(
    client: Client, fleet: CheapFleet, epoch_ms: int, ids: list[int], clock: Clock, seconds: float
) -> None:
    """One frame a second of each watched vehicle, spread over the second."""
    begun = time.perf_counter()
    for n in range(int(seconds * len(ids))):
        delay = begun + n / len(ids) - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        device = n % len(ids)
        first_ms = 65_000 + n // len(ids) * 1_000 + device
        clock.closed[ids[device], epoch_ms + first_ms] = time.perf_counter()
        await client.publish(up("demo", f"watched-{device}"), fleet.next(device, first_ms))
        await client.flush()


async def send_fleet(client: Client, fleet: CheapFleet, rate: float) -> None:
    """The others, until cancelled."""
    devices = len(fleet.streams)
    begun, sent = time.perf_counter(), 0
    while True:
        while sent < (time.perf_counter() - begun) * rate:
            await client.publish(up("demo", f"other-{sent % devices}"), fleet.next(sent % devices))
            sent += 1
        await asyncio.sleep(0.005)


async def measure(cloud: CloudProcess, watched: int, rate: float, seconds: float) -> Clock:
    """Register the watched vehicles, open the browsers, send."""
    clock = Clock()
    client = await nats.connect(cloud.nats_url)
    epoch_ms = time.time_ns() // 1_000_000 - 70_000
    fleet = CheapFleet(watched, rows=1, epoch_ms=epoch_ms)
    others = CheapFleet(max(1, int(rate * 10)), epoch_ms=epoch_ms)
    for device in range(watched):
        await client.publish(up("demo", f"watched-{device}"), fleet.next(device))
    ids: list[int] = []
    async with httpx.AsyncClient(base_url=cloud.url, auth=DemoAuth()) as http, asyncio.timeout(120):
        for device in range(len(others.streams)):
            await client.publish(up("demo", f"other-{device}"), others.next(device))
        total = watched + len(others.streams)
        while (await http.get("/api/v1/summary")).json()["frames"]["stored"] < total:
            await asyncio.sleep(0.5)  # each registers on sight, which is not what is measured here
        while len(ids) < watched:
            await asyncio.sleep(0.2)
            page = (await http.get("/api/v1/vehicles", params={"q": "watched-", "limit": 200})).json()
            by_name = {item["name"]: item["id"] for item in page["items"]}
            ids = [by_name[f"watched-{d}"] for d in range(watched) if f"watched-{d}" in by_name]
    base = cloud.url.replace("http://", "ws://") + "/api/v1/live"
    token = demo_token(cloud.url)
    events = [asyncio.Event() for _ in range(watched + 1)]
    tasks = [
        asyncio.create_task(listen(f"{base}?vehicles={vehicle}", token, clock, clock.watched, events[i]))
        for i, vehicle in enumerate(ids)
    ]
    tasks.append(asyncio.create_task(listen(base, token, clock, clock.fleet, events[-1])))
    async with asyncio.timeout(30):
        for event in events:
            await event.wait()
    tasks.append(asyncio.create_task(send_fleet(client, others, rate)))
    await send_watched(client, fleet, epoch_ms, ids, clock, seconds)
    await asyncio.sleep(1.0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.close()
    return clock


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--watched", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        cloud = CloudProcess(Path(name)).start()
        try:
            clock = asyncio.run(measure(cloud, options.watched, options.rate, options.seconds))
        finally:
            cloud.stop()
    sent = len(clock.closed)
    watched, fleet = np.array(clock.watched) * 1000, np.array(clock.fleet) * 1000
    report(
        "latency",
        [
            Figure("p50_ms", float(np.percentile(watched, 50)), "ms", "30", f"{options.watched} watched vehicles"),
            Figure("p99_ms", float(np.percentile(watched, 99)), "ms", "100", f"{len(watched)} of {sent} frames"),
            Figure("max_ms", float(watched.max()), "ms"),
            Figure("fleet_p50_ms", float(np.percentile(fleet, 50)), "ms", "", "client of all vehicles, 10 changes/s"),
            Figure("fleet_p99_ms", float(np.percentile(fleet, 99)), "ms"),
        ],
        {"watched": options.watched, "fleet_frames_per_s": options.rate, "seconds": options.seconds},
    )


if __name__ == "__main__":
    main()
