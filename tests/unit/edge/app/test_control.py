"""The control socket, both ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
import tempfile
from typing import Any

import pytest

from edge.control import ControlServer, ask, ask_stream
from sync_protocol.errors import ConfigError, NotFound, Unavailable
from tests.support.waiting import until


async def _echo(args: dict[str, Any]) -> dict[str, Any]:
    return args


async def _nothing(_args: dict[str, Any]) -> None:
    raise NotFound("no such thing")


async def _count(args: dict[str, Any]) -> AsyncIterator[int]:
    for number in range(int(args["to"])):
        yield number


def test_questions_streams_and_errors() -> None:
    async def scene(path: Path) -> None:
        task = asyncio.create_task(ControlServer(path, {"echo": _echo, "nothing": _nothing}, {"count": _count}).run())
        await until(path.exists, 5, "socket")
        assert await asyncio.to_thread(ask, path, "echo", a=1) == {"a": 1}
        assert await asyncio.to_thread(
            lambda: [n for n, _ in zip(ask_stream(path, "count", to=5), range(3), strict=False)]
        ) == [
            0,
            1,
            2,
        ]
        with pytest.raises(Unavailable, match="no such thing"):
            await asyncio.to_thread(ask, path, "nothing")
        with pytest.raises(Unavailable, match="unknown request"):
            await asyncio.to_thread(ask, path, "fly")
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"not json\n")
        assert b'"ok":false' in await reader.readline()
        writer.write(b"x" * 100_000)
        assert await reader.read() == b""
        writer.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not path.exists()
        with pytest.raises(Unavailable, match="no agent answers"):
            await asyncio.to_thread(ask, path, "echo")

    with tempfile.TemporaryDirectory(prefix="mp") as folder:
        asyncio.run(scene(Path(folder) / "agent.sock"))


def test_a_path_too_long_for_a_socket_is_said_plainly() -> None:
    with pytest.raises(ConfigError, match="at most"):
        asyncio.run(ControlServer(Path("/tmp") / ("x" * 120), {}, {}).run())
