"""What gpsd says, line by line, as structs; and a fix as raw integers of the catalogue. Knows no socket."""

from datetime import datetime
import math
from typing import Any

import msgspec

from sync_protocol.signals import catalogue

_KMH_PER_MS = 3.6
_WALKING_MS = 1.0  # below it a course over ground is noise
_OTHERS = (
    "altitude_m",
    "gps_speed_kmh",
    "heading_deg",
    "accuracy_m",
    "altitude_accuracy_m",
    "satellites_count",
    "gps_fix",
    "hdop",
)
_BY_NAME = catalogue().by_name

GPS_IDS = tuple(_BY_NAME[name].id for name in ("lat_deg", "lon_deg", *_OTHERS))
FIX_ID = _BY_NAME["gps_fix"].id


class Tpv(msgspec.Struct, tag_field="class", tag="TPV"):
    """Time, position, velocity. Angles in degrees, lengths in metres, speed in m/s, errors as 95 % where gpsd knows."""

    mode: int = 0
    device: str = ""
    time: str | None = None
    lat: float | None = None
    lon: float | None = None
    altMSL: float | None = None  # noqa: N815 - gpsd's name
    alt: float | None = None
    speed: float | None = None
    track: float | None = None
    eph: float | None = None
    epx: float | None = None
    epy: float | None = None
    epv: float | None = None


class _Satellite(msgspec.Struct):
    used: bool = False


class Sky(msgspec.Struct, tag_field="class", tag="SKY"):
    """The satellites in view."""

    device: str = ""
    hdop: float | None = None
    uSat: int | None = None  # noqa: N815 - gpsd's name
    satellites: list[_Satellite] | None = None

    @property
    def used(self) -> int | None:
        """How many satellites the fix is made of; None when this report does not say."""
        if self.uSat is not None:
            return self.uSat
        return None if self.satellites is None else sum(s.used for s in self.satellites)


class Version(msgspec.Struct, tag_field="class", tag="VERSION"):
    """gpsd's greeting."""

    release: str = ""


class Devices(msgspec.Struct, tag_field="class", tag="DEVICES"):
    """The receivers that gpsd reads."""

    devices: list[Any] = []


Report = Tpv | Sky | Version | Devices

_class = msgspec.json.Decoder(type=dict[str, Any])
_report: msgspec.json.Decoder[Report] = msgspec.json.Decoder(type=Report)
_KNOWN = ("TPV", "SKY", "VERSION", "DEVICES")


class Unreadable(Exception):
    """The line is not JSON of gpsd, or a known class with fields of the wrong type."""


def parse(line: bytes) -> Report | None:
    """A report, or None for a class that is not ours to know. Raises `Unreadable`."""
    try:
        return _report.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        try:
            kind = _class.decode(line).get("class")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            kind = None
        if isinstance(kind, str) and kind not in _KNOWN:
            return None
        raise Unreadable(str(err)) from err


def utc_ms(tpv: Tpv) -> int | None:
    """The time of the fix, milliseconds since 1970; None where there is none or it is no time (a leap second)."""
    if tpv.time is None:
        return None
    try:
        stamp = datetime.fromisoformat(tpv.time)
    except ValueError:
        return None
    return None if stamp.tzinfo is None else round(stamp.timestamp() * 1000)


def fix_values(tpv: Tpv, sky: Sky | None) -> tuple[dict[int, int], list[int]] | None:
    """Raw integers by signal id, and the ids of what came out of range. None when there is no position to speak of."""
    if tpv.mode < 2 or tpv.lat is None or tpv.lon is None:
        return None
    if not (-90 <= tpv.lat <= 90 and -180 <= tpv.lon <= 180):
        return None
    values = {_BY_NAME["lat_deg"].id: _BY_NAME["lat_deg"].raw(tpv.lat)}
    values[_BY_NAME["lon_deg"].id] = _BY_NAME["lon_deg"].raw(tpv.lon)
    outside = []
    for name, value in _measured(tpv, sky).items():
        signal = _BY_NAME[name]
        if value is None:
            continue
        if signal.min <= value <= signal.max:
            values[signal.id] = signal.raw(value)
        else:
            outside.append(signal.id)
    return values, outside


def _measured(tpv: Tpv, sky: Sky | None) -> dict[str, float | None]:
    altitude = tpv.altMSL if tpv.altMSL is not None else tpv.alt
    is_moving = tpv.speed is not None and tpv.speed >= _WALKING_MS
    horizontal = tpv.eph
    if horizontal is None and tpv.epx is not None and tpv.epy is not None:
        horizontal = math.hypot(tpv.epx, tpv.epy)
    return {
        "altitude_m": altitude if tpv.mode >= 3 else None,
        "gps_speed_kmh": None if tpv.speed is None else tpv.speed * _KMH_PER_MS,
        "heading_deg": tpv.track if is_moving else None,
        "accuracy_m": horizontal,
        "altitude_accuracy_m": tpv.epv if tpv.mode >= 3 else None,
        "satellites_count": None if sky is None else sky.used,
        "gps_fix": tpv.mode,
        "hdop": None if sky is None else sky.hdop,
    }
