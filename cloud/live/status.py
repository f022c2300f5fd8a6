"""What a vehicle does now, from its newest values. The history of it is derive's work."""

from cloud.facts import VehicleStatus
from cloud.latest import LatestTable, signal_names

SILENT_AFTER_MS = 600_000
_FRESH_MS = 30_000
_MOVING_KMH = 3.0
_RUNNING_RPM = 200.0


_SPEED, _GPS_SPEED, _RPM = (signal_names().index(name) for name in ("speed_kmh", "gps_speed_kmh", "engine_rpm"))


def status_of(table: LatestTable, vehicle_id: int, now_ms: int) -> VehicleStatus:
    """Driving, idling or parked by speed and engine; silent when nothing came for ten minutes."""
    ts_ms = table.ts_ms(vehicle_id)
    if now_ms - ts_ms > SILENT_AFTER_MS:
        return "silent"
    speed = _fresh(table, vehicle_id, _SPEED, ts_ms)
    if speed is None:
        speed = _fresh(table, vehicle_id, _GPS_SPEED, ts_ms)
    rpm = _fresh(table, vehicle_id, _RPM, ts_ms)
    if speed is not None and speed >= _MOVING_KMH:
        return "driving"
    if rpm is not None:
        return "idling" if rpm >= _RUNNING_RPM else "parked"
    return "unknown" if speed is None else "parked"


def _fresh(table: LatestTable, vehicle_id: int, signal_id: int, ts_ms: int) -> float | None:
    """A value that is not much older than the vehicle's newest."""
    read = table.value(vehicle_id, signal_id)
    return None if read is None or ts_ms - read[1] > _FRESH_MS else read[0]
