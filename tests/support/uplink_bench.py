"""One uplink with a real outbox, a double of the cloud, a link in memory and a clock that is set by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
import tempfile
from typing import Any

from edge.outbox.opening import outbox_path
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from edge.uplink.config import UplinkConfig
from edge.uplink.link import Link
from edge.uplink.pull import Pulls
from edge.uplink.source import Change
from edge.uplink.uplink import Uplink
from sync_protocol.errors import Unavailable
from sync_protocol.messages import AnchorSource
from tests.support.cloud_double import CloudDouble
from tests.support.edge_fakes import IDENTITY, FakeClock, frame_maker
from tests.support.waiting import until


class MemoryLink:
    """A link to the double without a broker. `loses`: what is published vanishes; `is_dead`: no sign of life."""

    def __init__(self, cloud: CloudDouble) -> None:
        self._cloud = cloud
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.loses = False
        self.is_dead = False
        self.is_closed = False
        self.unsent = self.looks = self.checks = 0

    async def publish(self, data: bytes) -> None:
        if self.is_closed:
            raise Unavailable("closed")
        if not self.loses:
            for reply in self._cloud.receive(data):
                self.inbox.put_nowait(reply)

    async def receive(self) -> bytes:
        data = await self.inbox.get()
        if data is None:
            raise Unavailable("cut")
        return data

    async def check(self, timeout_s: float) -> None:
        self.checks += 1
        if self.is_dead:
            raise Unavailable("no sign of life")

    async def close(self) -> None:
        self.is_closed = True

    def unsent_bytes(self) -> int:
        self.looks += 1
        return self.unsent

    def channel(self) -> None:
        return None

    def cut(self) -> None:
        self.is_closed = True
        self.inbox.put_nowait(None)


class FakeVehicle:
    """Knows what time it is once told, and how long it is watched."""

    def __init__(self) -> None:
        self.offset_ms: int | None = None
        self.told: list[tuple[int, int, int]] = []
        self.leases: list[float] = []

    def utc(self, boot_ms: int) -> tuple[int | None, AnchorSource | None]:
        return (None, None) if self.offset_ms is None else (boot_ms + self.offset_ms, "gps")

    def cloud_time(self, boot_ms: int, utc_ms: int, uncertainty_ms: int) -> None:
        self.told.append((boot_ms, utc_ms, uncertainty_ms))

    def watch(self, lease_s: float) -> None:
        self.leases.append(lease_s)


class Bench:
    """Everything around one uplink."""

    def __init__(self, outbox: OutboxWorker, config: UplinkConfig) -> None:
        self.clock = FakeClock()
        self.cloud = CloudDouble()
        self.vehicle = FakeVehicle()
        self.outbox = outbox
        self.links: list[MemoryLink] = []
        self.changes: list[Change] = []
        self.refusals: list[Exception] = []
        self.next_loses = False
        self.times: list[int] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        pulls = Pulls(outbox, lambda kind, data: self.told.append((kind, data)))
        self.uplink = Uplink(
            config, self.clock, outbox, self.vehicle, self._connect, pulls=pulls,
            version="1.2.3", boot=4, vin=lambda: "VIN", on_change=self.changes.append,
        )  # fmt: skip

    async def _connect(self) -> Link:
        if self.refusals:
            raise self.refusals.pop(0)
        link = MemoryLink(self.cloud)
        link.loses = self.next_loses
        self.links.append(link)
        return link

    async def commit(self, count: int, *, has_event: bool = False) -> None:
        for _ in range(count):
            await self.outbox.append(frame_maker(60, has_event=has_event), {})
        self.uplink.notify()

    async def pending(self) -> int:
        return (await self.outbox.totals()).pending

    async def all_acknowledged(self) -> bool:
        self.uplink.notify()
        return await self.pending() == 0

    async def on_the_way(self, count: int) -> None:
        await until(lambda: self.uplink.state().in_flight == count, 5, f"{count} frames on the way")

    async def pass_s(self, seconds: float) -> None:
        self.clock.pass_s(seconds)
        self.uplink.notify()
        await asyncio.sleep(0)


FAST = UplinkConfig(
    retry_s=0.01, retry_max_s=0.02, refused_retry_s=0.01, hello_wait_s=0.2, window_frames=8, ack_timeout_s=20
)


@asynccontextmanager
async def running(
    config: UplinkConfig = FAST, before: Callable[[Bench], Awaitable[None]] | None = None
) -> AsyncIterator[Bench]:
    """An uplink at work; at the end it must still run, and its counts must balance."""
    with tempfile.TemporaryDirectory() as folder:
        path = outbox_path(Path(folder), "acme", "van-1")
        outbox = await OutboxWorker.open(path, IDENTITY, Room(size_bytes=64 * 4096, ballast_bytes=0))
        bench = Bench(outbox, config)
        if before is not None:
            await before(bench)
        task = asyncio.create_task(bench.uplink.run())
        try:
            yield bench
            assert not task.done(), task
            assert bench.uplink.health().is_balanced
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await outbox.close()
