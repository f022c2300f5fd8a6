"""What a vehicle does now, from its newest values. The history of it is derive's work."""

from cloud.facts import Latest, VehicleStatus

SILENT_AFTER_MS = 600_000
_FRESH_MS = 30_000
_MOVING_KMH = 3.0
_RUNNING_RPM = 200.0


def status_of(latest: Latest, now_ms: int) -> VehicleStatus:
    """Driving, idling or parked by speed and engine; silent when nothing came for ten minutes."""
    if now_ms - latest.ts_ms > SILENT_AFTER_MS:
        return "silent"
    speed = _fresh(latest, "speed_kmh")
    if speed is None:
        speed = _fresh(latest, "gps_speed_kmh")
    rpm = _fresh(latest, "engine_rpm")
    if speed is not None and speed >= _MOVING_KMH:
        return "driving"
    if rpm is not None:
        return "idling" if rpm >= _RUNNING_RPM else "parked"
    return "unknown" if speed is None and not latest.values else "parked"


def _fresh(latest: Latest, name: str) -> float | None:
    """A value that is not much older than the vehicle's newest."""
    read = latest.values.get(name)
    return None if read is None or latest.ts_ms - read[1] > _FRESH_MS else read[0]
