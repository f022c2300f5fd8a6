"""A TCP proxy in front of nats-server through which a pull consumer sees messages stamped by a clock that is wrong."""

import asyncio
import re
from types import TracebackType

_STAMP = re.compile(rb"(\$JS\.ACK(?:\.[\w-]+){2}(?:\.\d+){3}\.)(\d{19})(?=\.)")
_LONGEST = 200


class SteppedBroker:
    """Forwards to `target`; adds `shift_us` to the time of every message that JetStream delivers."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.shift_us = 0
        self.port = 0
        self._pumps: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> "SteppedBroker":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        for source, sink, is_down in ((reader, far_writer, False), (far_reader, writer, True)):
            task = asyncio.create_task(self._pump(source, sink, is_down=is_down))
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_down: bool) -> None:
        held = b""
        try:
            while data := await reader.read(65_536):
                held += data
                # A stamp may be cut in two: from where one may have begun the rest waits for what follows.
                begun = held.rfind(b"$JS.ACK", max(0, len(held) - _LONGEST)) if is_down else -1
                cut = begun if begun >= 0 and b" " not in held[begun:] else len(held)
                whole, held = held[:cut], held[cut:]
                writer.write(_STAMP.sub(self._stamped, whole) if is_down else whole)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.transport.abort()

    def _stamped(self, found: re.Match[bytes]) -> bytes:
        return found[1] + b"%019d" % (int(found[2]) + self.shift_us * 1000)
