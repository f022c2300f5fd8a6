"""The broker's side of ingest: stream and durable, pulling messages, acknowledging them, publishing down."""

import asyncio
from collections.abc import Sequence
import json
import re
import secrets

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, DiscardPolicy, RetentionPolicy, StorageType
from nats.js.api import StreamConfig as NatsStreamConfig
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError
import structlog

from cloud.broker_login import NO_LOGIN, Login
from cloud.ingest.filing import Message
from cloud.ingest.puller import Puller
from sync_protocol.errors import Unavailable
from sync_protocol.subjects import STREAM, UP_ALL

log = structlog.get_logger()

DURABLE = "ingest"
_ACK_WAIT_S = 30.0
_MAX_ACK_PENDING = 50_000
_PULL_EXPIRES_S = 30.0
_PENDING = re.compile(rb"Nats-Pending-Messages: *(\d+)")
_TIMESTAMP_TOKEN = {9: 7, 11: 9, 12: 9}


async def connect(url: str, name: str, login: Login = NO_LOGIN, patience_s: float = 10.0) -> Client:
    """A client that reconnects for ever. `Unavailable` when the broker is not there within `patience_s` at first."""
    client = Client()

    async def on_error(err: Exception) -> None:
        # While the broker is away each attempt fails: that is said once, by `on_disconnect`.
        (log.warning if client.is_connected else log.debug)("broker_error", reason=str(err))

    async def on_disconnect() -> None:
        if not client.is_closed:
            log.warning("broker_lost", url=url)

    async def on_reconnect() -> None:
        log.info("broker_found", url=url)

    try:
        async with asyncio.timeout(patience_s):
            await client.connect(
                url,
                name=name,
                error_cb=on_error,
                disconnected_cb=on_disconnect,
                reconnected_cb=on_reconnect,
                max_reconnect_attempts=-1,
                reconnect_time_wait=1,
                connect_timeout=5,
                pending_size=64 * 1024**2,
                **login.options(),
            )
    except (NatsError, OSError, TimeoutError) as err:
        raise Unavailable(f"broker {url}: {err or 'no answer'}") from err
    return client


async def ensure_stream(client: Client, stream_bytes: int) -> None:
    """Make or mend the stream and its durable. Interest retention keeps only what a durable waits for."""
    js = client.jetstream()
    config = NatsStreamConfig(
        name=STREAM,
        subjects=[UP_ALL],
        retention=RetentionPolicy.INTEREST,
        discard=DiscardPolicy.NEW,
        storage=StorageType.FILE,
        max_bytes=stream_bytes,
        max_consumers=16,
        # A device may name any subject for JetStream's answer, which would arrive there in the broker's own name.
        no_ack=True,
    )
    try:
        try:
            await js.stream_info(STREAM)
        except NotFoundError:
            await js.add_stream(config)
            log.info("stream_made", stream=STREAM, size_bytes=stream_bytes)
        else:
            await js.update_stream(config)
        await js.add_consumer(
            STREAM,
            ConsumerConfig(
                durable_name=DURABLE,
                ack_policy=AckPolicy.ALL,
                deliver_policy=DeliverPolicy.ALL,
                ack_wait=_ACK_WAIT_S,
                max_ack_pending=_MAX_ACK_PENDING,
                max_waiting=64,
            ),
        )
        # What a process that died had taken and not acknowledged comes again now, not after the ack wait.
        await js.reset_consumer(STREAM, DURABLE)
    except (JetStreamError, NatsError, TimeoutError) as err:
        raise Unavailable(f"stream {STREAM}: {err}") from err


async def has_stream(client: Client) -> bool:
    """Whether the stream and its durable are there. `Unavailable` when the broker does not say."""
    try:
        await client.jetstream().consumer_info(STREAM, DURABLE)
    except NotFoundError:
        log.warning("stream_missing", stream=STREAM)
        return False
    except (JetStreamError, NatsError, TimeoutError) as err:
        raise Unavailable(f"stream {STREAM}: {err}") from err
    return True


class Source:
    """Pulls messages into a buffer. A pull request stands at all times, so a message arrives as soon as it is there."""

    def __init__(self, url: str, login: Login, batch: int) -> None:
        self._batch = batch
        self._inbox = f"_INBOX.{secrets.token_hex(8)}"
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{DURABLE}"
        self._messages: list[Message] = []
        self._last_reply = ""
        self._arrived = asyncio.Event()
        self._asked = 0
        self._asked_at = 0.0
        self._connects = 0
        self._puller = Puller(url, login, self._inbox, self._on_message, self._on_status)

    async def start(self) -> None:
        """Connect; messages come once `pull` asks for them. `Unavailable` when the broker is not there."""
        await self._puller.connect()

    async def run(self) -> None:
        """Keep the connection. Runs until cancelled; what was not acknowledged then is delivered again."""
        await self._puller.run()

    @property
    def buffered(self) -> int:
        """Messages that lie here."""
        return len(self._messages)

    async def wait(self, timeout_s: float) -> bool:
        """Wait until something has arrived."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> tuple[list[Message], str]:
        """Everything in the buffer, and the acknowledgement subject of its last message."""
        taken, self._messages = self._messages, []
        self._arrived.clear()
        return taken, self._last_reply if taken else ""

    def pull(self) -> None:
        """See to it that enough messages are asked for."""
        now = asyncio.get_running_loop().time()
        if self._puller.connects != self._connects or now - self._asked_at > _PULL_EXPIRES_S + 1:
            self._connects = self._puller.connects
            self._asked = 0
        if self._asked > self._batch // 2 or not self._puller.is_connected:
            return
        ask = {"batch": self._batch - self._asked, "expires": int(_PULL_EXPIRES_S * 1e9)}
        self._asked = self._batch
        self._asked_at = now
        self._puller.publish(self._next, json.dumps(ask).encode(), self._inbox)

    def ack(self, reply: str) -> None:
        """Acknowledge the message of this reply subject and all before it."""
        if reply:
            self._puller.publish(reply, b"+ACK")

    def publish_all(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send (subject, data) down to devices, in one write; lost while there is no connection."""
        self._puller.publish_all(messages)

    def _on_message(self, subject: str, data: bytes, reply: str) -> None:
        tokens = reply.split(".")
        stamp = tokens[_TIMESTAMP_TOKEN.get(len(tokens), 7)]
        self._asked -= 1
        self._messages.append(Message(subject, data, int(stamp) // 1000))
        self._last_reply = reply
        self._arrived.set()

    def _on_status(self, headers: bytes) -> None:
        """A pull request ended: what it still had outstanding will not come."""
        found = _PENDING.search(headers)
        self._asked = max(0, self._asked - int(found[1])) if found is not None else 0
        self._arrived.set()
