"""What the running agent answers about the vehicle's diagnosis. A vehicle that sleeps is not asked anything."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from edge.control import Answer, Stream
from edge.sensors.base import Sensor, SensorSink
from edge.sensors.obd.clearing import clear_codes
from edge.sensors.obd.errors import ObdError
from edge.sensors.obd.identity import read_identity
from edge.sensors.obd.inspection import read_codes, read_readiness
from edge.sensors.obd.scan import Scan
from edge.sensors.obd.scan_report import ScanProgress, ScanReport
from edge.sensors.obd.sensor import ObdSensor
from edge.sensors.obd.vehicle import Vehicle
from sync_protocol.errors import NotFound


class Unreached(msgspec.Struct, frozen=True):
    """Instead of a report: why there is none. `is_asleep`: the adapter is well, and nothing was sent to the vehicle."""

    unreached: str
    is_asleep: bool


class VehicleAnswers:
    """Requests named `dtc...`, each answered by a report of `edge.sensors.obd.report` or by `Unreached`."""

    def __init__(
        self,
        sensors: Sequence[Sensor],
        sink: SensorSink,
        boot_ms: Callable[[], int],
        vin: Callable[[], str | None],
    ) -> None:
        self._sensors = sensors
        self._sink = sink
        self._boot_ms = boot_ms
        self._vin = vin

    def answers(self) -> Mapping[str, Answer]:
        """Requests by name."""
        return {
            "dtc": lambda _: self._read(lambda vehicle: read_codes(vehicle, self._vin())),
            "dtc_readiness": lambda _: self._read(read_readiness),
            "dtc_vehicle": lambda _: self._read(read_identity),
            "dtc_clear": lambda args: self._clear(str(args.get("source", "cli"))),
        }

    def streams(self) -> Mapping[str, Stream]:
        """Requests whose answers go on, by name."""
        return {"scan": self._scan}

    async def _scan(self, _args: dict[str, Any]) -> AsyncIterator[ScanProgress | ScanReport | Unreached]:
        """Progress, then the report or why there is none. The agent goes on measuring, its questions in between."""
        obd = self._obd()
        try:
            async for item in Scan(await obd.answering().anew()).run():
                yield item
        except ObdError as err:
            yield Unreached(str(err), obd.state().link == "closed")

    async def _clear(self, source: str) -> Any:
        def tell(kind: str, data: dict[str, Any]) -> None:
            self._sink.event(kind, self._boot_ms(), data)

        try:
            return await self._read(lambda vehicle: clear_codes(vehicle, source, tell))
        finally:
            self._obd().codes_changed()

    async def _read(self, reading: Callable[[Vehicle], Awaitable[Any]]) -> Any:
        obd = self._obd()
        try:
            return await reading(obd.answering())
        except ObdError as err:
            return Unreached(str(err), obd.state().link == "closed")

    def _obd(self) -> ObdSensor:
        obd = next((sensor for sensor in self._sensors if isinstance(sensor, ObdSensor)), None)
        if obd is None:
            raise NotFound('the agent has no OBD sensor of ours: [obd] enabled = true, sensor = "elm"')
        return obd
