"""uvicorn inside our own loop, on sockets that we bind: the service starts and stops it, signals stay ours."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import socket
import ssl
from typing import Any, NamedTuple

import uvicorn

from sync_protocol.errors import ConfigError, Unavailable

GRACE_S = 2


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


class TlsFiles(NamedTuple):
    """PEM files of a server certificate and of its key."""

    certificate: Path
    key: Path


class Listener:
    """Serves one ASGI application on one socket, from `start` to `stop`; with `tls` over TLS 1.3.

    What `proxies` (addresses) say of who calls is believed.
    """

    def __init__(
        self, app: Any, bound: socket.socket, tls: TlsFiles | None = None, proxies: Sequence[str] = ()
    ) -> None:
        self._bound = bound
        # Browsers always offer permessage-deflate; for messages this small it costs more CPU than it saves.
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_max_size=64 * 1024,
            timeout_graceful_shutdown=GRACE_S,
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.key,
        )
        config.load()
        if config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound]))
        while not self._server.started:
            if self._task.done():
                await self._task
                raise Unavailable("the HTTP server ended while it started")
            await asyncio.sleep(0.005)

    async def wait(self) -> None:
        """Until it ends, by `stop` or by a fault, which is raised."""
        assert self._task is not None
        await self._task

    async def stop(self) -> None:
        """Take no more requests, finish those under way, give up on them after `GRACE_S`."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
        self._bound.close()


def bind_tcp(host: str, port: int) -> socket.socket:
    """A bound TCP socket; `Unavailable` when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as err:
        bound.close()
        raise Unavailable(f"{host}:{port}: {err.strerror}; $.listen.port chooses another, 0 a free one") from err
    return bound


def bind_unix(path: Path) -> socket.socket:
    """A bound Unix socket that only this user may use; a stale one of a dead process is replaced."""
    if len(os.fsencode(path)) > 100:
        raise ConfigError(f"$.data_dir: expected a path short enough for a Unix socket (100 bytes), got {path}")
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        bound.bind(str(path))
    finally:
        os.umask(mask)
    return bound
