"""Scanning the vehicle: through the sensor of the running agent, or through the port itself when none runs."""

from collections.abc import AsyncIterator

from edge.sensors.obd.adapter import open_adapter
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.errors import ObdError
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import OpenPort, Port
from edge.sensors.obd.scan import Scan
from edge.sensors.obd.scan_report import ScanProgress, ScanReport
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle
from edge.vehicle_answers import Unreached

ScanItem = ScanProgress | ScanReport | Unreached


async def scan_port(config: ObdConfig, open_port: OpenPort = Port.open) -> AsyncIterator[ScanItem]:
    """Open the port, which nobody else may hold, and scan. The last item is the report, or why there is none."""
    memory = Memory()
    try:
        port, elm = await open_adapter(config, memory, open_port)
    except ObdError as err:
        yield Unreached(str(err), is_asleep=False)
        return
    try:
        battery_v = await elm.voltage_v()
        yield ScanProgress("looking for the vehicle", 0, 1)
        try:
            vehicle = await Vehicle.find(elm, memory, may_search=True)
        except REQUEST_ERRORS as err:
            volts = "" if battery_v is None else f", {battery_v:.1f} V"
            yield Unreached(f"the adapter answers ({elm.identity}{volts}), but no computer of the vehicle: {err}", True)
            return
        async for item in Scan(vehicle).run():
            yield item
        await elm.let_sleep()
    except ObdError as err:
        yield Unreached(str(err), is_asleep=False)
    finally:
        await port.close()
