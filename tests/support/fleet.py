"""A fast fake fleet over real NATS, a registry in memory, and the data plane put together as `cloud/app.py` does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
import sys

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from cloud.config import IngestConfig, LimitsConfig, NatsConfig, TelemetryConfig
from cloud.facts import DeviceRef, LiveUpdate
from cloud.ingest.broker import Broker
from cloud.ingest.pipeline import Committing, Message, Pipeline
from cloud.ingest.service import Ingest
from cloud.telemetry.ledger_view import load_ledger
from cloud.telemetry.store import TelemetryStore
from cloud.telemetry.verify import VerifyReport, verify
from cloud.telemetry.writer import TelemetryWriter
from sync_protocol import subjects
from sync_protocol.ledger import Ranges
from sync_protocol.messages import Ack, Hello, HelloAnswer, StreamState, decode_down, encode_hello

TENANT = "demo"


class MemoryRegistry:
    """`cloud.facts.Registry` in memory: device n sits in vehicle n, for ever unless `seats` says otherwise."""

    def __init__(self) -> None:
        self._devices: dict[tuple[str, str], DeviceRef] = {}
        self._by_id: dict[int, DeviceRef] = {}
        self.seats: dict[int, list[tuple[int, int | None]]] = {}
        self.hellos: list[tuple[DeviceRef, Hello]] = []

    def device(self, tenant: str, name: str) -> DeviceRef | None:
        """Registers on sight; ids follow the order of first sight. Tenants other than `demo` are unknown."""
        if tenant != TENANT:
            return None
        found = self._devices.get((tenant, name))
        if found is None:
            found = DeviceRef(len(self._devices) + 1, 1, tenant, name)
            self._devices[tenant, name] = found
            self._by_id[found.id] = found
        return found

    def meet(self, names: Sequence[tuple[str, str]]) -> None:
        """Registers them one by one: there is no transaction to save."""
        for tenant, name in names:
            self.device(tenant, name)

    def device_by_id(self, device_id: int) -> DeviceRef | None:
        """The device with this id."""
        return self._by_id.get(device_id)

    def device_of(self, vehicle_id: int) -> DeviceRef | None:
        """Device n sits in vehicle n."""
        return self._by_id.get(vehicle_id)

    def owner_of(self, vehicle_id: int) -> int:
        """There is one tenant."""
        return 1

    def vehicle_at(self, device_id: int, ts_us: int) -> int | None:
        """The vehicle of the last seat taken before `ts_us`."""
        seats = self.seats.get(device_id)
        if seats is None:
            return device_id
        vehicle = None
        for since_us, vehicle_id in seats:
            if since_us <= ts_us:
                vehicle = vehicle_id
        return vehicle

    def hello(self, device: DeviceRef, hello: Hello) -> None:
        """Remembers it."""
        self.hellos.append((device, hello))


class FakeDevice:
    """Publishes frames without reply and sends again what is not acknowledged, as an uplink does."""

    def __init__(self, client: Client, name: str, tenant: str = TENANT) -> None:
        self.client = client
        self.subject = subjects.up(tenant, name)
        self._down = subjects.down(tenant, name)
        self.acked: dict[bytes, Ranges] = {}
        self.forked: dict[bytes, set[int]] = {}
        self.answers: list[HelloAnswer] = []
        self.commands: list[object] = []
        self._heard = asyncio.Event()

    async def listen(self) -> "FakeDevice":
        """Subscribe to what comes down."""
        await self.client.subscribe(self._down, cb=self._on_down)
        await self.client.flush()
        return self

    async def send(self, data: bytes) -> None:
        """Publish one up message."""
        await self.client.publish(self.subject, data)

    async def hello(self, *streams: StreamState, boot: int = 1, boot_ms: int = 1000) -> None:
        """Publish a hello."""
        await self.send(encode_hello(Hello("test", boot, boot_ms, streams)))

    async def until_acked(
        self, stream_id: bytes, frames: dict[int, bytes], *, timeout_s: float = 30.0, resend_s: float = 1.0
    ) -> None:
        """Send frames again until every one is acknowledged."""
        async with asyncio.timeout(timeout_s):
            while missing := [seq for seq in frames if seq not in self.acked.get(stream_id, Ranges())]:
                self._heard.clear()
                try:
                    await asyncio.wait_for(self._heard.wait(), resend_s)
                except TimeoutError:
                    for seq in missing[:500]:
                        await self.send(frames[seq])

    async def until(self, condition: object, timeout_s: float = 15.0) -> None:
        """Wait until a condition (a callable) holds."""
        assert callable(condition)
        async with asyncio.timeout(timeout_s):
            while not condition():
                await asyncio.sleep(0.01)

    async def _on_down(self, message: Msg) -> None:
        down = decode_down(message.data)
        if isinstance(down, Ack):
            ranges = self.acked.setdefault(down.stream_id, Ranges())
            for first, last, _ in down.ranges:
                ranges.add(first, last)
            self.forked.setdefault(down.stream_id, set()).update(seq for seq, _ in down.forked)
        elif isinstance(down, HelloAnswer):
            self.answers.append(down)
        else:
            self.commands.append(down)
        self._heard.set()


class Plane:
    """Broker, store and ingest of one cloud, in this process."""

    def __init__(
        self,
        folder: Path,
        *,
        ingest: IngestConfig | None = None,
        nats_config: NatsConfig | None = None,
        telemetry: TelemetryConfig | None = None,
        broker: Broker | None = None,
    ) -> None:
        self.registry = MemoryRegistry()
        self.owns_broker = broker is None
        self.broker = broker or Broker(
            nats_config or NatsConfig(port=0, stream_bytes=256 * 1024**2, disk_reserve_bytes=0), folder / "nats"
        )
        self.store = TelemetryStore(folder / "telemetry.duckdb", telemetry or TelemetryConfig())
        self.config = ingest or IngestConfig(
            commit_window_s=0.05, ack_delay_s=0.0, limits=LimitsConfig(frames_per_s=1e6, frames_burst=1_000_000)
        )
        self.live: list[LiveUpdate] = []
        self.committed: list[tuple[frozenset[int], bool]] = []

    def open(self) -> None:
        """Start the broker, open the store, load the ledger."""
        if self.owns_broker:
            self.broker.start()
        self.store.open()
        self.writer = TelemetryWriter(self.store, self.registry)
        self.writer.load()
        self.ingest = Ingest(
            self.config,
            self.broker,
            self.registry,
            self.writer,
            on_live=self._on_live,
            on_commit=lambda *news: self.committed.append(news),
        )
        streams, ranges, boots = self.store.read_sync(load_ledger)
        self.ingest.pipeline.book.load(streams, ranges, boots)

    def _on_live(self, update: LiveUpdate) -> None:
        self.live.append(update)

    def close(self) -> None:
        """Stop everything."""
        self.store.close()
        if self.owns_broker:
            self.broker.stop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Client]:
        """Ingest at work, and a client of its broker."""
        task = asyncio.create_task(self.ingest.run())
        ready = asyncio.create_task(self.ingest.is_ready.wait())
        await asyncio.wait([task, ready], timeout=20, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if task.done():
            task.result()
        client = await nats.connect(self.broker.url)
        try:
            yield client
        finally:
            await client.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class LocalPlane:
    """Pipeline and store without a broker: messages in, committed rows out, for tests that need no network."""

    def __init__(
        self, folder: Path, *, limits: LimitsConfig | None = None, registry: MemoryRegistry | None = None
    ) -> None:
        self.registry = registry or MemoryRegistry()
        self.store = TelemetryStore(folder / "telemetry.duckdb", TelemetryConfig(threads=1, readers=1))
        self.limits = limits or LimitsConfig(frames_per_s=1e6, frames_burst=1_000_000)
        self.received_us = 1_790_000_000_000_000
        self.news: list[tuple[frozenset[int], bool]] = []
        self.open()

    def open(self) -> None:
        """Open the store and load the ledger, as after a restart."""
        self.store.open()
        self.writer = TelemetryWriter(self.store, self.registry)
        self.writer.load()
        self.pipeline = Pipeline(
            self.limits, self.registry, self.writer, lambda: self.received_us, lambda: self.received_us
        )
        self.pipeline.book.load(*self.store.read_sync(load_ledger))

    def take(self, datas: Sequence[bytes], device: str = "van-1") -> LiveUpdate:
        """Lead messages through the steps."""
        messages = []
        for data in datas:
            self.received_us += 1000
            messages.append(Message(subjects.up(TENANT, device), data, self.received_us))
        return self.pipeline.take(messages)

    def commit(self) -> Committing | None:
        """Commit what was taken and wait for it."""
        committing = self.pipeline.commit()
        if committing is not None:
            result = committing.future.result()
            self.pipeline.committed(committing)
            self.news.append((committing.device_ids | result.retimed, committing.has_late or bool(result.retimed)))
        return committing

    def feed(self, datas: Sequence[bytes], device: str = "van-1") -> Committing | None:
        """Take and commit."""
        self.take(datas, device)
        return self.commit()

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of a query."""
        return self.store.read_sync(lambda cursor: cursor.execute(sql).fetchall())

    def verify(self) -> VerifyReport:
        """The store's own check, which must find nothing."""
        report = self.store.read_sync(verify)
        assert report.problems == []
        return report

    def close(self) -> None:
        """Close the store."""
        self.store.close()


async def _serve(folder: Path, url: str) -> None:
    """Ingest of a cloud whose broker runs elsewhere, until the process ends."""
    plane = Plane(folder, nats_config=NatsConfig(url=url, stream_bytes=64 * 1024**2))
    plane.open()
    async with plane.running():
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), sys.argv[2]))
