"""The agent as far as recordings see it: sensors, tap, sampler and its ticks, in any event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from edge.config import DeviceConfig
from edge.sampling.open_frame import ClosedFrame
from edge.sampling.sampler import Sampler
from edge.sensing import Sensing
from edge.sensors.gps_stream import OpenStream, TcpStream
from edge.sensors.obd.port import OpenPort, Port
from edge.sensors.wiretap import precise_boot_ms
from edge.tap import HeldClock, Tap
from tests.support.elm_fakes import boot_ms

_TICK_S = 0.2


class SmallAgent:
    """Frames go to `frames`."""

    def __init__(
        self,
        config: DeviceConfig,
        clock: Callable[[], int] = boot_ms,
        precise_ms: Callable[[], float] = precise_boot_ms,
        open_port: OpenPort = Port.open,
        open_stream: OpenStream = TcpStream.open,
    ) -> None:
        self.now_ms = clock
        self.frames: list[ClosedFrame] = []
        self._due = asyncio.Event()
        held = HeldClock(self)
        self.sampler = Sampler(config.sampling, held, self._put, periods_s=config.obd.periods_s, wake=self._due.set)
        self.tap = Tap(self.sampler, held, lambda *_: None)
        self.sensing = Sensing(config, self.tap, clock, open_port, open_stream, precise_ms)

    def boot_ms(self) -> int:
        return self.now_ms()

    def _put(self, frame: ClosedFrame) -> None:
        self.tap.frame(frame)
        self.frames.append(frame)

    async def tick(self) -> None:
        while True:
            self.tap.tick()
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._due.wait()
            except TimeoutError:
                continue
            self._due.clear()

    @asynccontextmanager
    async def recording(self, path: Path) -> AsyncIterator["SmallAgent"]:
        """The agent runs inside, and records all the while."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.sensing.run()), group.create_task(self.tick())]
            await asyncio.sleep(0)
            await self.sensing.record(path, is_raw=True)
            yield self
            self.tap.stop()
            for task in tasks:
                task.cancel()
