"""A small double of the cloud: keeps frames by stream and number, acknowledges, answers hellos, tells forks.

`CloudDouble` is the logic, bytes in and bytes out. `NatsCloud` puts it behind a real broker, as a JetStream consumer.
"""

import asyncio
from collections.abc import Callable
import time
from types import TracebackType

from nats.aio.client import Client
from nats.errors import Error
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy, StreamConfig

from sync_protocol import subjects
from sync_protocol.bundle import is_bundle, unpack
from sync_protocol.codec import decode, frame_crc
from sync_protocol.errors import Unavailable
from sync_protocol.ledger import Ranges, StreamLedger
from sync_protocol.messages import (
    Ack,
    Command,
    Hello,
    HelloAnswer,
    StreamAnswer,
    decode_hello,
    encode_down,
    is_hello,
)
from sync_protocol.short import is_short, restore


class CloudDouble:
    """What the cloud knows of one device. Knobs: `acks`, `answers` (off: it stays silent), `reads_short`."""

    def __init__(self) -> None:
        self.frames: dict[tuple[bytes, int], bytes] = {}
        self.ledgers: dict[bytes, StreamLedger] = {}
        self.forked: dict[bytes, set[int]] = {}
        self.hellos: list[Hello] = []
        self.order: list[tuple[bytes, int]] = []
        self.received = 0
        self.duplicates = 0
        self.bundles = self.shorts = 0
        self.acks = True
        self.reads_short = True
        self.answers = True
        self.utc_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def receive(self, data: bytes) -> list[bytes]:
        """One message from the device; the messages it gets for it."""
        if is_bundle(data):
            self.bundles += 1
            return [reply for frame in unpack(data) for reply in self.receive(frame)]
        if is_short(data):
            self.shorts += 1
            try:
                return self.receive(restore(data, self.ledgers))
            except Unavailable:
                return []
        if is_hello(data):
            hello = decode_hello(data)
            self.hellos.append(hello)
            return [encode_down(self._answer(hello))] if self.answers else []
        header = decode(data).header
        key = (header.stream_id, header.seq)
        ledger = self.ledgers.setdefault(header.stream_id, StreamLedger())
        self.received += 1
        self.order.append(key)
        if key in self.frames and frame_crc(self.frames[key]) != frame_crc(data):
            self.forked.setdefault(header.stream_id, set()).add(header.seq)
            return [encode_down(Ack(header.stream_id, (), ((header.seq, frame_crc(data)),)))] if self.acks else []
        if key in self.frames:
            self.duplicates += 1
        self.frames[key] = data
        ledger.store(header.seq)
        return [encode_down(Ack(header.stream_id, ((header.seq, header.seq, frame_crc(data)),)))] if self.acks else []

    def _answer(self, hello: Hello) -> HelloAnswer:
        answers = []
        for state in hello.streams:
            ledger = self.ledgers.setdefault(state.stream_id, StreamLedger())
            ledger.saw(state.last_seq)
            for gap in state.gaps:
                ledger.lose(gap)
            forked = tuple(sorted(self.forked.get(state.stream_id, ())))
            answers.append(
                StreamAnswer(state.stream_id, ledger.stored.pairs(), forked=forked, gaps=tuple(ledger.reasons))
            )
        return HelloAnswer(self.utc_ms(), tuple(answers), reads_short=self.reads_short)

    def restore(self, keep: Callable[[tuple[bytes, int]], bool]) -> None:
        """As if from a backup: only frames that `keep` says are still there."""
        self.frames = {key: body for key, body in self.frames.items() if keep(key)}
        self.ledgers = {}
        for stream_id, seq in self.frames:
            self.ledgers.setdefault(stream_id, StreamLedger()).store(seq)

    def pending(self) -> int:
        """Frames the device spoke of that are neither here nor lost."""
        return sum(ledger.pending().count() for ledger in self.ledgers.values())

    def stored(self, stream_id: bytes) -> Ranges:
        """Numbers of a stream that are here."""
        return self.ledgers[stream_id].stored if stream_id in self.ledgers else Ranges()


class NatsCloud:
    """`CloudDouble` on a broker: makes the stream FRAMES, pulls it, and publishes what the double replies."""

    def __init__(self, url: str, tenant: str, device: str, double: CloudDouble | None = None) -> None:
        self._url = url
        self._down = subjects.down(tenant, device)
        self.double = double or CloudDouble()
        self._client = Client()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "NatsCloud":
        await self._client.connect(
            servers=[self._url], max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_quiet
        )
        js = self._client.jetstream()
        await js.add_stream(
            StreamConfig(
                name=subjects.STREAM,
                subjects=[subjects.UP_ALL],
                retention=RetentionPolicy.INTEREST,
                discard=DiscardPolicy.NEW,
                max_bytes=64 << 20,
            )
        )
        self._pull = await js.pull_subscribe(
            subjects.UP_ALL, durable="double", stream=subjects.STREAM, config=ConsumerConfig(ack_wait=2)
        )
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._client.close()

    async def _run(self) -> None:
        while True:
            try:
                for message in await self._pull.fetch(100, timeout=0.5):
                    for reply in self.double.receive(message.data):
                        await self._client.publish(self._down, reply)
                    await message.ack()
            except (TimeoutError, Error, OSError):
                await asyncio.sleep(0.02)

    async def command(self, command: Command) -> None:
        """Send a command to the device."""
        await self._client.publish(self._down, encode_down(command))


async def _quiet(_err: Exception) -> None:
    """The broker is killed on purpose."""
