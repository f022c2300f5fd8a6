"""The local control socket: newline-delimited JSON over a Unix socket, for the `milepost` commands on the same machine.

-> {"op":"status"}
<- {"ok":true,"result":{...}}            or {"ok":false,"error":"..."}; a stream repeats the first form until closed
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
import os
from pathlib import Path
import socket
from typing import Any

import msgspec
import structlog

from sync_protocol.errors import ConfigError, MilepostError, Unavailable

_MOST_REQUEST_BYTES = 65_536
_MOST_PATH_BYTES = 100
_ANSWER_TIMEOUT_S = 30.0

log = structlog.get_logger()

Args = dict[str, Any]
Answer = Callable[[Args], Awaitable[Any]]
Stream = Callable[[Args], AsyncIterator[Any]]


class ControlServer:
    """Answers on the socket until closed."""

    def __init__(self, path: Path, answers: Mapping[str, Answer], streams: Mapping[str, Stream]) -> None:
        self._path = path
        self._answers = answers
        self._streams = streams

    async def run(self) -> None:
        """Serve until cancelled; the socket file goes with it. `ConfigError` when the path cannot be a socket."""
        _check_path(self._path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, self._path, limit=_MOST_REQUEST_BYTES)
        self._path.chmod(0o660)
        try:
            await server.serve_forever()
        finally:
            server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._answer(line, writer)
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.LimitOverrunError) as err:
            log.debug("control_connection_ended", reason=str(err))
        finally:
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            op = str(request.pop("op", ""))
            if op in self._streams:
                async for item in self._streams[op](request):
                    writer.write(_line({"ok": True, "result": item}))
                    await writer.drain()
            elif op in self._answers:
                writer.write(_line({"ok": True, "result": await self._answers[op](request)}))
            else:
                writer.write(_line({"ok": False, "error": f"unknown request {op!r}"}))
        except (MilepostError, msgspec.DecodeError) as err:
            writer.write(_line({"ok": False, "error": str(err)}))


def _line(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def _check_path(path: Path) -> None:
    if len(os.fsencode(path)) > _MOST_PATH_BYTES:
        raise ConfigError(f"$.socket {path}: expected at most {_MOST_PATH_BYTES} bytes")


def ask(socket_path: Path, op: str, **args: Any) -> Any:
    """Ask the running agent one thing. `Unavailable` when none runs, none answers, or it says no."""
    for result in ask_stream(socket_path, op, **args):
        return result
    raise Unavailable("the agent gave no answer")


def ask_stream(socket_path: Path, op: str, **args: Any) -> Iterator[Any]:
    """As `ask`, for a request whose answers go on until the caller stops or the agent ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(_ANSWER_TIMEOUT_S)
        try:
            channel.connect(os.fspath(socket_path))
            channel.sendall(msgspec.json.encode({"op": op, **args}) + b"\n")
            with channel.makefile("rb") as lines:
                for line in lines:
                    reply = msgspec.json.decode(line, type=dict[str, Any])
                    if not reply.get("ok"):
                        raise Unavailable(str(reply.get("error", "refused")))
                    yield reply.get("result")
        except (OSError, msgspec.DecodeError) as err:
            raise Unavailable(f"no agent answers at {socket_path}: {getattr(err, 'strerror', None) or err}") from err
