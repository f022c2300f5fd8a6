"""The OBD sensor: finds the adapter, then the vehicle, measures, lets it sleep, and starts again when one is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
import random

import structlog

from edge.sensors.base import Fact, LinkState, SensorSink, SensorState
from edge.sensors.obd.adapter import open_adapter
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import ObdError
from edge.sensors.obd.faults import DtcReport, FaultWatch, read_report
from edge.sensors.obd.measure import Measuring
from edge.sensors.obd.memory import MemoryFile
from edge.sensors.obd.port import OpenPort, Port
from edge.sensors.obd.profile_choice import ProfileChoice
from edge.sensors.obd.resting import Resting
from edge.sensors.obd.supply import Supply
from edge.sensors.obd.vehicle import Vehicle

log = structlog.get_logger(__name__)


class ObdSensor:
    """Reads a vehicle through an ELM327. Values of trouble lamp and code count are those of the engine's computer."""

    name = "obd"

    def __init__(
        self,
        config: ObdConfig,
        clock: Callable[[], int],
        open_port: OpenPort = Port.open,
        rng: random.Random | None = None,
    ) -> None:
        """`clock` gives boot_ms, the milliseconds of CLOCK_BOOTTIME. `rng` jitters waits."""
        self._rng = rng or random.Random()
        self._config = config
        self._open_port = open_port
        self._clock = clock
        self._file = MemoryFile(config.state_path)
        self._memory = self._file.load()
        self._faults = FaultWatch(self._memory, config.dtc_period_s, clock, lambda: self._file.save(self._memory))
        self._supply = Supply(config, clock, self._rng)
        self._resting = Resting(config, self._memory, self._supply, clock, self._rest)
        self._is_left_alone = False
        self._profiles = ProfileChoice(config, self._memory, clock)
        self._vehicle: Vehicle | None = None
        self._measuring: Measuring | None = None
        self._link: LinkState = "closed"
        self._detail = "not started"
        self._since_ms = clock()
        self._rows = 0
        self._failures = 0
        self._has_told_connected = False

    def state(self) -> SensorState:
        """`open` only while a vehicle answers; `closed` while it sleeps; `failing` when something is wrong."""
        measuring = self._measuring
        facts: dict[str, Fact] = {
            "port": self._config.port,
            "adapter": self._memory.adapter or None,
            "protocol": None if self._vehicle is None else self._vehicle.bus.name,
            "battery_v": self._supply.ignition.battery_v,
            "battery": self._supply.battery.level,
            "power_advice": self._supply.battery.advice,
            "cranked_min_v": self._supply.battery.cranked_min_v,
            "rows": self._rows + self._resting.rows + (0 if measuring is None else measuring.rows),
        }
        if self._vehicle is not None and measuring is not None:
            facts["profile"] = self._profiles.name
            facts["computers"] = len(self._vehicle.supported)
            facts["signals"] = measuring.signal_count
            facts["pids_per_request"] = self._vehicle.batch_size
            facts["last_row_boot_ms"] = measuring.last_row_ms
            facts["last_error"] = measuring.last_error or None
            facts.update({f"errors_{kind}": count for kind, count in measuring.errors.items()})
        return SensorState(self._link, self._detail, self._since_ms, facts)

    async def run(self, sink: SensorSink) -> None:
        """Measure until cancelled. Every loss ends in another attempt, after a wait that doubles and is jittered."""
        while True:
            try:
                async with self._adapter() as elm:
                    await self._use(elm, sink)
            except ObdError as err:
                self._lose(sink, "adapter_lost", "failing", str(err))
            except asyncio.CancelledError:
                self._become("closed", "stopped")
                raise
            wait_s = min(self._config.retry_max_s, self._config.retry_s * 2 ** min(self._failures, 10))
            self._failures += 1
            await asyncio.sleep(wait_s * self._rng.uniform(0.5, 1.0))

    async def read_dtcs(self) -> DtcReport:
        """Read the trouble codes now, between two rounds. `ObdError` when stored codes cannot be read."""
        return await read_report(self.answering())

    def codes_changed(self) -> None:
        """Somebody else cleared or set codes: have them read and told soon."""
        self._faults.hurry()

    async def read_vin(self) -> str:
        """Read the vehicle identification number now. `ObdError` when the vehicle does not tell it."""
        return await self.answering().vin()

    def answering(self) -> Vehicle:
        """The vehicle that answers now; sends nothing. `ObdError` while it sleeps or the adapter is away."""
        if self._vehicle is None:
            raise ObdError(f"no vehicle answers: {self._detail}")
        return self._vehicle

    @asynccontextmanager
    async def _adapter(self) -> AsyncIterator[Elm]:
        port, elm = await self._open()
        try:
            yield elm
        finally:
            self._end_stay()
            await port.close()

    async def _open(self) -> tuple[Port, Elm]:
        if self._link != "failing":
            self._become("opening", f"opening {self._config.port}")
        opened = await open_adapter(self._config, self._memory, self._open_port)
        await self._file.save(self._memory)
        return opened

    async def _use(self, elm: Elm, sink: SensorSink) -> None:
        while True:
            self._profiles.before_contact()
            vehicle = await self._resting.wait(elm, sink, must_be_used=self._is_left_alone)
            reason = await self._stay(elm, vehicle, sink)
            self._lose(sink, reason, "closed", f"vehicle left alone: {reason}")
            self._is_left_alone = reason == "ignition_off"
            await elm.let_sleep()

    async def _stay(self, elm: Elm, vehicle: Vehicle, sink: SensorSink) -> str:
        config, maker = await self._profiles.apply(elm, vehicle, sink)
        measuring = Measuring(config, elm, vehicle, self._memory, self._supply, self._faults, self._clock, maker)
        self._vehicle, self._measuring = vehicle, measuring
        begun_ms = self._clock()
        self._supply.ignition.woke(begun_ms)
        self._is_left_alone = False
        self._faults.connected()
        # Only a value is a connection: there are adapters that get the first answer through and no other.
        measuring.on_answer = lambda: self._connected(elm, vehicle, measuring.signal_count, sink)
        if self._link != "failing":
            self._become("opening", f"{vehicle.bus.name}: no value yet")
        if not any(group.batches for group in measuring.groups):
            measuring.on_answer()
        await self._file.save(self._memory)
        await asyncio.sleep(vehicle.quirks.start_delay_s)
        try:
            reason = await measuring.run(sink)
        finally:
            if self._clock() - begun_ms >= self._config.retry_max_s * 1000:
                self._failures = 0  # one that comes and goes is not tried at its pace
            await self._file.save(self._memory)
        self._profiles.ended(elm, sink, is_fruitless=reason == "no_answer" and not measuring.rows)
        return reason

    def _connected(self, elm: Elm, vehicle: Vehicle, signal_count: int, sink: SensorSink) -> None:
        self._become("open", f"{vehicle.bus.name}, {signal_count} signals")
        self._has_told_connected = True
        sink.event("obd_connected", self._clock(), {"protocol": vehicle.bus.name, "adapter": elm.identity})
        log.info("obd_connected", protocol=vehicle.bus.name, adapter=elm.identity, signals=signal_count)

    def _rest(self, link: LinkState, detail: str) -> None:
        """What a resting vehicle has come to; without a detail, only that it is not failing any more."""
        if detail:
            self._become(link, detail)
        elif self._link == "failing":
            self._become(link, "the engine is off")
        self._failures = 0

    def _lose(self, sink: SensorSink, reason: str, link: LinkState, detail: str) -> None:
        if self._has_told_connected:
            sink.event("obd_lost", self._clock(), {"reason": reason})
            log.info("obd_lost", reason=reason, detail=detail)
        elif link == "failing" and self._link != "failing":
            log.warning("obd_unavailable", reason=detail)
        self._has_told_connected = False
        self._end_stay()
        self._become(link, detail)

    def _end_stay(self) -> None:
        if self._measuring is not None:
            self._rows += self._measuring.rows
        self._vehicle = self._measuring = None

    def _become(self, link: LinkState, detail: str) -> None:
        if link != self._link:
            self._since_ms = self._clock()
        self._link, self._detail = link, detail
