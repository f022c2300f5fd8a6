"""One simulated vehicle in a virtual event loop: adapter on a socket pair, gpsd on the loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
import select
import socket

import msgspec

from edge.config import DeviceConfig
from edge.replay.virtual_loop import VirtualLoop
from edge.sampling.config import SamplingConfig
from edge.sensors.gps import GpsConfig
from edge.sensors.obd.config import ObdConfig
from edge.simulator.ecu import control_units
from edge.simulator.elm327 import Elm327, Latency
from edge.simulator.gpsd import GpsdServer
from edge.simulator.kinds import KINDS
from edge.simulator.receiver import Receiver
from edge.simulator.route import load_route
from edge.simulator.vehicle import Vehicle
from tests.support.loop_elm import LoopElm
from tests.support.loop_end import LoopEnd
from tests.support.small_agent import SmallAgent

BEGIN = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)
START_MS = 1_000_000
_LATENCY = Latency(search_s=0.4, reset_s=0.2)


class SimulatedElm(LoopEnd):
    """The simulator's adapter; `is_mute` may be set at any time."""

    def __init__(self, vehicle: Vehicle, latency: Latency = _LATENCY, buffer_bytes: int = 512) -> None:
        super().__init__()
        self._vehicle = vehicle
        self._elm = Elm327(vehicle, control_units(vehicle), latency, buffer_bytes)
        self._typed = b""
        self.is_mute = False

    def heard(self, data: bytes) -> None:
        """See `LoopEnd`. What was said last before the port was closed is not carried out."""
        end = self.end
        assert end is not None
        if select.select([end], [], [], 0)[0] and not end.recv(1, socket.MSG_PEEK):
            self.hang_up()
            return
        self._typed += data
        while b"\r" in self._typed and not self.is_mute:
            line, self._typed = self._typed.split(b"\r", 1)
            loop = asyncio.get_running_loop()
            self._vehicle.advance_to(loop.time() - START_MS / 1000)
            if self._elm.has_echo:
                end.send(line + self._elm.line_end.encode())
            reply = self._elm.respond(line.decode("latin-1"))
            # In pieces, as a serial line gives them.
            text = reply.text.encode("latin-1")
            loop.call_later(reply.delay_s, self._send, end, text[:20])
            loop.call_later(reply.delay_s + 0.004, self._send, end, text[20:])

    def _send(self, end: socket.socket, data: bytes) -> None:
        if end is self.end and data and not self.is_mute:
            end.send(data)


class SimulatedRig:
    """A vehicle on a road, in the time of the loop it is made in. `utc_step_s` is added to the satellites' time."""

    def __init__(self, kind: str, route: str, seed: str, elm: LoopElm | None = None) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.loop = loop
        self.vehicle = Vehicle(f"{kind}-01", KINDS[kind], load_route(route), seed)
        self.elm = SimulatedElm(self.vehicle)
        self.other_elm = elm
        self.receiver = Receiver(seed, 3.0)
        self.gpsd = GpsdServer()
        self.utc_step_s = 0.0

    @asynccontextmanager
    async def recorded(self, path: Path, folder: Path, obd: ObdConfig) -> AsyncIterator[SmallAgent]:
        """The agent in the vehicle, recording to `path`."""
        await self.gpsd.start()
        config = DeviceConfig(
            tenant="acme",
            device="van-1",
            state_dir=str(folder),
            obd=msgspec.structs.replace(obd, port="/dev/milepost-obd"),
            gps=GpsConfig(port=self.gpsd.port),
            sampling=SamplingConfig(),
        )
        opening = self.elm.open if self.other_elm is None else self.other_elm.open
        agent = SmallAgent(config, self.loop.boot_ms, self.loop.precise_ms, opening)
        satellites = asyncio.create_task(self._publish())
        try:
            async with agent.recording(path):
                yield agent
        finally:
            satellites.cancel()
            await self.gpsd.stop()

    async def _publish(self) -> None:
        second = 0
        while True:
            second += 1
            await asyncio.sleep(START_MS / 1000 + second + 0.12 - self.loop.time())
            self.vehicle.advance_to(float(second))
            fix = self.receiver.fix(self.vehicle.place, self.vehicle.speed_ms)
            self.gpsd.publish(fix, BEGIN + timedelta(seconds=second + self.utc_step_s))
