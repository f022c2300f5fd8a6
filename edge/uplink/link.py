"""One connection to the broker. nats-py's errors end here."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
import socket
from typing import Any, Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import AuthorizationError, Error

from edge.uplink.config import UplinkConfig
from edge.uplink.tcp_info import queued_bytes
from edge.uplink.tls import KnownTime, tls_context
from sync_protocol.errors import ConfigError, Denied, Unavailable

_PING_S = 86_400  # nats-py pings a busy link too, which costs more than 6 kB an hour; the uplink checks a quiet one
_CLOSE_S = 2
_PENDING_BYTES = 4 << 20


class Link(Protocol):
    """An open connection of the device: one subject up, one down."""

    async def publish(self, data: bytes) -> None:
        """Send without waiting for an answer; `Unavailable` when the connection is lost."""

    async def receive(self) -> bytes:
        """The next message from the cloud; `Unavailable` when the connection is lost."""

    async def check(self, timeout_s: float) -> None:
        """Ask the broker for a sign of life; `Unavailable` when none comes."""

    async def close(self) -> None:
        """Send what is buffered and end the connection."""

    def unsent_bytes(self) -> int:
        """What was published and is still on this side of the link."""

    def channel(self) -> socket.socket | None:
        """The TCP socket beneath, to look at; None where there is none."""


class Credentials(Protocol):
    """What an enrolled device shows the broker. Asked anew for each connection."""

    def token(self) -> bytes:
        """The token that says who it is."""

    def answer(self, nonce: str) -> bytes:
        """The proof that the token is its own: the broker's nonce, signed."""

    @property
    def authority(self) -> str:
        """PEM of the authority that has signed the broker's certificate."""


Connect = Callable[[], Awaitable[Link]]


class NatsLink:
    """`Link` over nats-py. It does not reconnect: a lost link is replaced, by the uplink's own back-off."""

    def __init__(self, client: Client, up: str) -> None:
        self._client = client
        self._up = up
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()

    @classmethod
    async def connect(
        cls,
        config: UplinkConfig,
        up: str,
        down: str,
        name: str,
        known: KnownTime | None = None,
        credentials: Credentials | None = None,
    ) -> "NatsLink":
        """Connect and listen. `Unavailable`: nobody there. `Denied`: the broker does not want this device.

        Over TLS the broker's certificate is judged by the `known` time, None: by the system clock.
        """
        link = cls(Client(), up)
        try:
            async with asyncio.timeout(config.connect_timeout_s):
                await link._client.connect(servers=[config.url], **link._options(config, name, known, credentials))
                link._limit_silence(config.unacked_s)
                await link._client.subscribe(down, cb=link._on_message)
                await link._client.flush(timeout=max(1, round(config.connect_timeout_s)))
        except AuthorizationError as err:
            await link.close()
            raise Denied(f"{config.url} refuses this device: {err}") from err
        except (TimeoutError, OSError, Error) as err:
            await link.close()
            if "authorization" in str(err).lower():
                raise Denied(f"{config.url} refuses this device: {err}") from err
            raise Unavailable(f"{config.url}: {str(err) or type(err).__name__}") from err
        return link

    def _limit_silence(self, unacked_s: float) -> None:
        """Let the kernel notice a dead link by what it already sends, which costs no byte."""
        channel = self.channel()
        if channel is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * unacked_s))

    def _options(
        self, config: UplinkConfig, name: str, known: KnownTime | None, credentials: Credentials | None
    ) -> dict[str, Any]:
        common = self._common(config, name)
        if credentials is not None:
            return common | {
                "user_jwt_cb": credentials.token,
                "signature_cb": credentials.answer,
                "tls": tls_context(None, known, credentials.authority),
                "tls_handshake_first": True,
            }
        return common | {
            "user": config.user,
            "password": _secret(config.password_file) if config.password_file else None,
            "tls": tls_context(config.ca_file, known) if config.url.startswith("tls") else None,
        }

    def _common(self, config: UplinkConfig, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "allow_reconnect": False,
            "connect_timeout": max(1, round(config.connect_timeout_s)),
            "ping_interval": _PING_S,
            "pending_size": _PENDING_BYTES,
            "no_echo": True,
            "inbox_prefix": "i",
            "error_cb": _ignore,
            "disconnected_cb": self._on_lost,
            "closed_cb": self._on_lost,
        }

    async def _on_message(self, message: Msg) -> None:
        self._inbox.put_nowait(message.data)

    async def _on_lost(self) -> None:
        self._inbox.put_nowait(None)

    async def publish(self, data: bytes) -> None:
        """See `Link.publish`."""
        try:
            await self._client.publish(self._up, data)
        except (OSError, Error) as err:
            raise Unavailable(f"publish: {err}") from err

    async def receive(self) -> bytes:
        """See `Link.receive`."""
        data = await self._inbox.get()
        if data is None:
            self._inbox.put_nowait(None)
            raise Unavailable("connection lost")
        return data

    async def check(self, timeout_s: float) -> None:
        """See `Link.check`."""
        try:
            await self._client.flush(timeout=max(1, round(timeout_s)))
        except (TimeoutError, OSError, Error) as err:
            raise Unavailable("no sign of life from the broker") from err

    async def close(self) -> None:
        """See `Link.close`."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._client.close()
        except (TimeoutError, OSError, Error):
            self._inbox.put_nowait(None)

    def unsent_bytes(self) -> int:
        """See `Link.unsent_bytes`: in nats-py, in asyncio, in the kernel."""
        writer, channel = self._writer(), self.channel()
        buffered = 0 if writer is None else writer.transport.get_write_buffer_size()
        queued = 0 if channel is None else queued_bytes(channel)
        return self._client.pending_data_size + buffered + queued

    def channel(self) -> socket.socket | None:
        """See `Link.channel`. Without it only headers and what waits in the kernel are not counted."""
        writer = self._writer()
        found: socket.socket | None = None if writer is None else writer.get_extra_info("socket")
        return found

    def _writer(self) -> asyncio.StreamWriter | None:
        """nats-py does not name it."""
        found: asyncio.StreamWriter | None = getattr(self._client._transport, "_io_writer", None)
        return found


async def _ignore(_err: Exception) -> None:
    """Errors of the connection are seen where they are raised; nats-py would print tracebacks."""


def _secret(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as err:
        raise ConfigError(f"$.uplink.password_file {path}: {err.strerror}") from err
