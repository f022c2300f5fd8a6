"""What the running agent answers about the vehicle's diagnosis. A vehicle that sleeps is not asked anything."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from edge.control import Answer
from edge.sensors.base import Sensor, SensorSink
from edge.sensors.obd.clearing import clear_codes
from edge.sensors.obd.errors import ObdError
from edge.sensors.obd.identity import read_identity
from edge.sensors.obd.inspection import read_codes, read_readiness
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
            raise NotFound("no OBD sensor is configured")
        return obd
