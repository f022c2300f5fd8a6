"""The sensors of the agent: made from its configuration, run, and made anew when a raw recording begins."""

import asyncio
from collections.abc import Callable
from pathlib import Path
import random
from typing import Any

import msgspec

from edge.clock import BUILT_UTC_MS
from edge.config import DeviceConfig
from edge.sensors.base import Sensor
from edge.sensors.board import BoardSensor
from edge.sensors.gps_stream import OpenStream, TcpStream
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.memory import MemoryFile
from edge.sensors.obd.port import OpenPort, Port
from edge.sensors.obd.sensor import ObdSensor
from edge.sensors.recording import Context
from edge.sensors.wiretap import BusWiretap, GpsWiretap, Wiretap, precise_boot_ms
from edge.tap import Tap
from sync_protocol.errors import Conflict, MilepostError

_SEED_BITS = 32


class Sensing:
    """`sensors` always holds those that run; `wiretaps` listen to their clocks and connections."""

    def __init__(
        self,
        config: DeviceConfig,
        tap: Tap,
        clock: Callable[[], int],
        open_port: OpenPort = Port.open,
        open_stream: OpenStream = TcpStream.open,
        precise_ms: Callable[[], float] = precise_boot_ms,
    ) -> None:
        """`clock` gives boot_ms, `precise_ms` the same to the microsecond."""
        self._config = config
        self._tap = tap
        self._clock = clock
        self._bus = BusWiretap(clock, open_port, precise_ms)
        self._gps = GpsWiretap(clock, open_stream, precise_ms)
        self.sensors: list[Sensor] = []
        self.wiretaps: list[Wiretap] = []
        self._seeds: dict[str, int] = {}
        self._anew: asyncio.Future[Callable[[], None]] | None = None
        self._prepare()
        self._make()

    def _prepare(self) -> None:
        self.wiretaps.clear()
        self._seeds = {}
        if self._config.replay is None:
            self.wiretaps += [self._bus, self._gps]
            self._seeds = {name: random.getrandbits(_SEED_BITS) for name in ("obd", "gps")}

    def _make(self) -> None:
        config = self._config
        self.sensors.clear()
        if config.replay is not None:
            from edge.sensors.replay import ReplaySensor

            self.sensors.append(ReplaySensor(config.replay, self._clock))
            return
        if config.obd.enabled and config.obd.sensor == "python-obd":
            from edge.sensors.python_obd.sensor import PythonObdSensor

            self.sensors.append(PythonObdSensor(config.obd, self._bus.clock, random.Random(self._seeds["obd"])))
        elif config.obd.enabled:
            rng = random.Random(self._seeds["obd"])
            self.sensors.append(ObdSensor(self._obd(), self._bus.clock, self._bus.open, rng))
        if config.gps.enabled:
            from edge.sensors.gps import GpsSensor

            rng = random.Random(self._seeds["gps"])
            self.sensors.append(GpsSensor(config.gps, self._gps.clock, BUILT_UTC_MS, self._gps.open, rng))
        if config.board.enabled:
            self.sensors.append(BoardSensor(config.board, self._clock))

    async def run(self) -> None:
        """Run the sensors until cancelled. One that ends by itself is not run again."""
        while True:
            self._anew = asyncio.get_running_loop().create_future()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(s.run(self._tap.sink(s.name)), name=s.name) for s in self.sensors]
                begin = await self._anew
                for task in tasks:
                    task.cancel()
            begin()
            self._make()

    async def record(self, path: Path, *, is_raw: bool) -> None:
        """Begin to record. Raw, the sensors connect anew, so that the recording holds all they build on.

        What python-OBD says to the adapter is not heard: then there are rows only.

        Errors as `Tap.start`.
        """
        self._tap.check(path)
        if not is_raw or self._config.replay is not None or self._config.obd.sensor != "elm":
            self._tap.start(path)
            return
        if self._anew is None or self._anew.done():
            raise Conflict("the sensors are being started")
        begun = asyncio.get_running_loop().create_future()

        def begin() -> None:
            self._prepare()
            try:
                self._tap.start(path, self.context(), self.wiretaps)
            except MilepostError as err:
                begun.set_exception(err)
            else:
                begun.set_result(None)

        self._anew.set_result(begin)
        await begun

    def context(self) -> Context:
        """What the sensors begin with, as a recording keeps it."""
        config = self._config
        memory = MemoryFile(self._obd().state_path).load()
        return Context(
            self._clock(),
            obd=_plain(config.obd) if config.obd.enabled else None,
            gps=_plain(config.gps) if config.gps.enabled else None,
            sampling=_plain(config.sampling),
            periods_s=dict(config.obd.periods_s),
            obd_memory=_plain(memory),
            seeds=dict(self._seeds),
            released_utc_ms=BUILT_UTC_MS,
        )

    def _obd(self) -> ObdConfig:
        config = self._config.obd
        if config.state_path:
            return config
        return msgspec.structs.replace(config, state_path=str(Path(self._config.state_dir) / "obd.json"))


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    content = msgspec.to_builtins(value)
    assert isinstance(content, dict)
    return content
