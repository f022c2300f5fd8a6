"""nats-server as its own process, outside the cloud: killed and started again on the same port and files."""

import asyncio
from pathlib import Path
import socket
import time
from types import TracebackType
from typing import Self

from cloud.ingest.broker import find_nats_server

READY_S = 20.0


class BrokerProcess:
    """`async with BrokerProcess(folder) as broker:`; JetStream's files are kept in the folder between its lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start and wait until it greets a client."""
        with (self._folder / "nats.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                find_nats_server(), "--addr", "127.0.0.1", "--port", str(self.port), "--jetstream",
                "--store_dir", self._folder / "jetstream", stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._process.returncode is None:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            greeting = await reader.readline()
            writer.close()
            if greeting.startswith(b"INFO"):
                return
        raise AssertionError(f"nats-server is not ready: {(self._folder / 'nats.log').read_text()[-2000:]}")

    async def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
