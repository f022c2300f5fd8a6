"""A TCP proxy in front of nats-server that misbehaves on purpose: cuts, swallows, duplicates and reorders publishes.

It reads the client's side of the NATS protocol far enough to tell one PUB from the next; the other side passes.
"""

import asyncio
from collections.abc import Callable
import contextlib
import random

_HEAD_LIMIT = 4096


class ChaosProxy:
    """Listens on 127.0.0.1:`port` (a free one unless given) and forwards to `target()`, asked anew for each connection.

    The knobs may be turned at any time: `duplicate`, `reorder` are the shares of publishes sent twice or held
    back behind the next one; `is_swallowing` makes the link half-open: it stays up and nothing passes.
    """

    def __init__(self, target: Callable[[], int], seed: int = 0) -> None:
        self._target = target
        self._rng = random.Random(seed)
        self.duplicate = 0.0
        self.reorder = 0.0
        self.is_swallowing = False
        self.duplicated = self.reordered = self.cuts = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "ChaosProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._links, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection now."""
        self.cuts += 1
        for link in self._links:
            link.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target())
        except OSError:
            writer.transport.abort()
            return
        both = [asyncio.create_task(self._up(reader, up_writer)), asyncio.create_task(self._down(up_reader, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # `cut` ends the link; both ends see a reset
        finally:
            for pump in both:
                pump.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            writer.transport.abort()
            up_writer.transport.abort()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not self.is_swallowing:
                writer.write(data)
                await writer.drain()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: bytes | None = None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                line = await reader.readuntil(b"\r\n")
                op = line.split(b" ", 1)[0].upper().strip()
                if op in (b"PUB", b"HPUB"):
                    line += await reader.readexactly(int(line.split()[-1]) + 2)
                if self.is_swallowing:
                    continue
                out = [line]
                if op == b"PUB":
                    if self._rng.random() < self.duplicate:
                        out.append(line)
                        self.duplicated += 1
                    if held is None and self._rng.random() < self.reorder:
                        held, out = out[0], out[1:]
                        self.reordered += 1
                    elif held is not None:
                        out.append(held)
                        held = None
                writer.writelines(out)
                await writer.drain()
