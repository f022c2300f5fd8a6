"""Drives the pipeline: a short window for decoding and the live view, a long one for commits; then acknowledges.

One task fills windows and starts commits, one finishes them in order. A commit that fails ends both: the ledger in
memory is then ahead of the store, and only a restart makes them equal again.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
import gc
import time

from nats.aio.client import Client
import structlog

from cloud.config import IngestConfig
from cloud.facts import Committed, LiveUpdate, Registry
from cloud.ingest.acks import Acks
from cloud.ingest.broker import Broker
from cloud.ingest.counters import IngestCounters
from cloud.ingest.pipeline import Committing, Message, Pipeline, TelemetryWriter
from cloud.ingest.source import Source, connect, ensure_stream, has_stream
from sync_protocol.bundle import frame_count
from sync_protocol.errors import Unavailable
from sync_protocol.header import sample_count

log = structlog.get_logger()

_COMMITS_UNDER_WAY = 2
_IDLE_S = 0.1
_GC_THRESHOLD = (100_000, 20, 100)
_MAX_PENDING = 10_000
# A frame has 320 samples as a rule, and 65,535 at most: memory goes by samples.
COMMIT_SAMPLES = 1_000_000
_MAX_PENDING_SAMPLES = 4 * COMMIT_SAMPLES
_LOOK_EVERY_S = 5.0


def _now_us() -> int:
    return time.time_ns() // 1000


def _passed_us() -> int:
    return time.monotonic_ns() // 1000


def parts(messages: Sequence[Message], most_frames: int) -> Iterator[tuple[list[Message], bool]]:
    """Cut where the frames, those in bundles too, get to be so many, or their samples more than a commit shall have.

    Each part with whether it is the last. What a bundle holds of samples is known only when it is opened.
    """
    part: list[Message] = []
    frames = samples = 0
    for message in messages:
        count, inside = frame_count(message.data), sample_count(message.data)
        if part and (frames + count > most_frames or samples + inside > COMMIT_SAMPLES):
            yield part, False
            part, frames, samples = [], 0, 0
        part.append(message)
        frames += count
        samples += inside
    yield part, True


class Ingest:
    """From the broker to committed rows and acknowledged devices."""

    def __init__(
        self,
        config: IngestConfig,
        broker: Broker,
        registry: Registry,
        writer: TelemetryWriter,
        *,
        clock_us: Callable[[], int] = _now_us,
        on_live: Callable[[LiveUpdate], None] = lambda _update: None,
        on_commit: Callable[[frozenset[int], bool], None] = lambda _device_ids, _has_rewinds: None,
    ) -> None:
        self._config = config
        self._broker = broker
        self._on_live = on_live
        self._on_commit = on_commit
        self._acks = Acks(config.ack_frames, config.ack_delay_s)
        self._decode = ThreadPoolExecutor(1, thread_name_prefix="ingest-decode")
        self._client: Client | None = None
        self._under_way: asyncio.Queue[tuple[Committing, str]] = asyncio.Queue(_COMMITS_UNDER_WAY)
        self._injected: list[Message] = []
        self.pipeline = Pipeline(config.limits, registry, writer, clock_us, _passed_us)
        self.lag_s = 0.0
        self.is_ready = asyncio.Event()

    @property
    def counters(self) -> IngestCounters:
        """What happened so far."""
        return self.pipeline.counters

    async def publish(self, subject: str, data: bytes) -> bool:
        """Send something down to a device; lost when the device does not listen. False: the broker is away."""
        if self._client is None or not self._client.is_connected:
            return False
        await self._client.publish(subject, data)
        return True

    async def run(self) -> None:
        """Run until cancelled. What is not committed then will be delivered again."""
        self._client = await connect(self._broker.url, "milepost-ingest", self._broker.login())
        await ensure_stream(self._client, self._broker.stream_bytes())
        source = Source(self._broker.url, self._broker.login(), self._config.commit_frames * 2)
        await source.start()
        # Batches are hundreds of thousands of objects that die by count; the collector would walk the ledger for them.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLD)
        self.is_ready.set()
        log.info("ingest_started", streams=sum(1 for _ in self.pipeline.book.streams()))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(source.run())
                group.create_task(self._fill(source))
                group.create_task(self._finish(source))
                group.create_task(self._acknowledge(source))
                group.create_task(self._mend_stream())
                group.create_task(self._place())
        finally:
            self.is_ready.clear()
            self._decode.shutdown(wait=True)
            await self._client.close()
            log.info("ingest_stopped", stored=self.counters.stored)

    def replay(self, messages: Sequence[Message]) -> None:
        """Put messages (from quarantine, from an import) through the pipeline as if they had just arrived."""
        self._injected.extend(messages)

    async def _fill(self, source: Source) -> None:
        loop = asyncio.get_running_loop()
        reply, begun = "", loop.time()
        while True:
            source.pull()
            is_some = await source.wait(_IDLE_S) if not self._injected else True
            if is_some and source.buffered < self._config.commit_frames:
                await asyncio.sleep(self._config.fetch_window_s)
            messages, last = source.take()
            if self._injected:
                messages, self._injected = [*messages, *self._injected], []
            if messages:
                if not self.pipeline.pending_messages:
                    begun = loop.time()
                self.lag_s = max(0.0, time.time() - messages[0].received_us * 1e-6)
                reply = last or reply
                for part, is_last in parts(messages, self._config.commit_frames):
                    self._on_live(await loop.run_in_executor(self._decode, self.pipeline.take, part))
                    if self._is_full() and self._may_commit():
                        await self._commit(reply if is_last else "")
            elif not is_some:
                self.lag_s = 0.0
            is_due = loop.time() - begun >= self._config.commit_window_s
            if self.pipeline.has_pending and is_due and self._may_commit():
                await self._commit(reply)

    def _is_full(self) -> bool:
        """Whether there is enough for a commit."""
        pipeline = self.pipeline
        return pipeline.pending_messages >= self._config.commit_frames or pipeline.pending_samples >= COMMIT_SAMPLES

    def _may_commit(self) -> bool:
        """While commits are slow (a checkpoint) go on taking, so that the live view flows; up to a bound."""
        pipeline = self.pipeline
        has_too_much = pipeline.pending_messages >= _MAX_PENDING or pipeline.pending_samples >= _MAX_PENDING_SAMPLES
        return has_too_much or not self._under_way.full()

    async def _commit(self, reply: str) -> None:
        committing = await asyncio.get_running_loop().run_in_executor(self._decode, self.pipeline.commit)
        if committing is not None:
            await self._under_way.put((committing, reply))

    async def _finish(self, source: Source) -> None:
        while True:
            committing, reply = await self._under_way.get()
            result = await asyncio.wrap_future(committing.future)
            await self._committed(source, committing, result)
            source.ack(reply)

    async def _committed(self, source: Source, done: Committing, result: Committed) -> None:
        await asyncio.get_running_loop().run_in_executor(self._decode, self.pipeline.committed, done)
        self._acks.add(done.acked, time.monotonic())
        if done.answers:
            self._acks.hurry(frozenset(subject for subject, _ in done.answers))
        self._send_acks(source)
        source.publish_all(done.answers)  # behind the acknowledgements, on one connection: they arrive in this order
        self._on_commit(done.device_ids | result.retimed, done.has_late or bool(result.retimed))
        log.debug("batch_committed", frames=done.frames, samples=done.samples, messages=done.messages)

    async def _acknowledge(self, source: Source) -> None:
        while True:
            await asyncio.sleep(min(0.25, max(0.05, self._config.ack_delay_s / 4)))
            self._send_acks(source)

    def _send_acks(self, source: Source) -> None:
        """One that is lost with the connection is asked for again by the device: it sends the frames once more."""
        due = self._acks.due(time.monotonic())
        self.counters.acks += len(due)
        source.publish_all(due)

    async def _place(self) -> None:
        """Now and then, place the boots that nobody gave a time; the next commit writes it down."""
        while True:
            await asyncio.sleep(self._config.place_every_s)
            placed = await asyncio.get_running_loop().run_in_executor(self._decode, self.pipeline.place_boots)
            if placed:
                log.info("boots_placed", boots=placed)

    async def _mend_stream(self) -> None:
        """A broker that came back without its files, or whose stream somebody deleted, needs stream and durable again.

        While they are missing devices hear no acknowledgement, keep their frames and send them again.
        """
        assert self._client is not None
        reconnects = looked_s = 0.0
        while True:
            await asyncio.sleep(0.2)
            if not self._client.is_connected:
                continue
            is_new = self._client.stats["reconnects"] != reconnects
            if not is_new and time.monotonic() - looked_s < _LOOK_EVERY_S:
                continue
            reconnects, looked_s = self._client.stats["reconnects"], time.monotonic()
            try:
                if is_new or not await has_stream(self._client):
                    await ensure_stream(self._client, self._broker.stream_bytes())
            except Unavailable as err:
                log.warning("stream_not_mended", reason=str(err))
                reconnects = -1  # again at the next turn
