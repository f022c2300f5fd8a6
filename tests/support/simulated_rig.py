"""One simulated vehicle in a virtual event loop: adapter on a socket pair, gpsd on the loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
import select
import socket
from typing import cast

import msgspec
import serial

from edge.config import DeviceConfig
from edge.replay.virtual_loop import VirtualLoop
from edge.sampling.config import SamplingConfig
from edge.sensors.gps import GpsConfig
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.errors import AdapterLost
from edge.sensors.obd.port import Port
from edge.simulator.ecu import control_units
from edge.simulator.elm327 import Elm327, Latency
from edge.simulator.gpsd import GpsdServer
from edge.simulator.kinds import KINDS
from edge.simulator.receiver import Receiver
from edge.simulator.route import load_route
from edge.simulator.vehicle import Vehicle
from tests.support.loop_elm import LoopElm
from tests.support.small_agent import SmallAgent

BEGIN = datetime(2026, 11, 20, 7, 0, tzinfo=UTC)
START_MS = 1_000_000
_LATENCY = Latency(search_s=0.4, reset_s=0.2)


class _End:
    """The part of a serial connection that `Port` uses."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()


class SimulatedElm:
    """The simulator's adapter; `is_plugged` and `is_mute` may be set at any time."""

    def __init__(self, vehicle: Vehicle, latency: Latency = _LATENCY) -> None:
        self._vehicle = vehicle
        self._elm = Elm327(vehicle, control_units(vehicle), latency)
        self._end: socket.socket | None = None
        self._typed = b""
        self.is_plugged = True
        self.is_mute = False

    async def open(self, _url: str, _baud: int, _deadline_s: float) -> Port:
        """As `Port.open`."""
        if not self.is_plugged:
            raise AdapterLost("opening: no such file")
        self._hang_up()
        ours, self._end = socket.socketpair()
        self._end.setblocking(False)
        asyncio.get_running_loop().add_reader(self._end, self._readable, self._end)
        return Port(cast(serial.SerialBase, _End(ours)))

    def unplug(self) -> None:
        """Go away."""
        self.is_plugged = False
        self._hang_up()

    def _hang_up(self) -> None:
        if self._end is not None:
            asyncio.get_running_loop().remove_reader(self._end)
            self._end.close()
            self._end = None

    def _readable(self, end: socket.socket) -> None:
        data = end.recv(4096)
        if not data or (select.select([end], [], [], 0)[0] and not end.recv(1, socket.MSG_PEEK)):
            self._hang_up()
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
        if end is self._end and data and not self.is_mute:
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
