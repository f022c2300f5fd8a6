"""Moves a drive to the middle of the Atlantic: what gpsd said, and the samples that came of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
import math
from typing import Any

import msgspec

from edge.sensors.gps_report import Tpv, fix_values
from sync_protocol.signals import catalogue

TARGET = (0.0, -30.0)
_BY_NAME = catalogue().by_name
LAT, LON, ALTITUDE = _BY_NAME["lat_deg"], _BY_NAME["lon_deg"], _BY_NAME["altitude_m"]
_DECIMALS = 9
_KEPT: dict[str, tuple[str, ...]] = {
    "TPV": (
        "mode", "device", "status", "time", "ept", "lat", "lon", "altHAE", "altMSL", "alt", "epx", "epy", "epv",
        "eph", "track", "speed", "climb", "eps", "epc", "epd", "sep", "leapseconds",
    ),
    "SKY": (
        "device", "time", "hdop", "vdop", "pdop", "tdop", "xdop", "ydop", "gdop", "nSat", "uSat", "satellites",
    ),
    "VERSION": ("release", "rev", "proto_major", "proto_minor"),
    "DEVICES": ("devices",),
    "DEVICE": ("path", "driver", "activated", "flags", "native", "bps", "parity", "stopbits", "cycle"),
    "WATCH": ("enable", "json"),
}  # fmt: skip


class Moved:
    """A turn of the globe that brings one place to `TARGET`, north staying north there: distances stay as they were.

    Heights are told from that of the first place, times shifted by whole days.
    """

    def __init__(self, lat_deg: float, lon_deg: float, altitude_m: float, days: int = 0) -> None:
        self._lat_deg = lat_deg
        self._lon_deg = lon_deg
        self._base_m = round(altitude_m)
        self.days = days
        self._raw: dict[tuple[int, int], tuple[int, int]] = {}
        self._devices: dict[str, str] = {}

    def place(self, lat_deg: float, lon_deg: float) -> tuple[float, float]:
        """A place in degrees, moved."""
        lat, lon = math.radians(lat_deg), math.radians(lon_deg - self._lon_deg)
        x, y, z = math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)
        turn = math.radians(self._lat_deg - TARGET[0])
        x, z = x * math.cos(turn) + z * math.sin(turn), z * math.cos(turn) - x * math.sin(turn)
        lon_moved = math.degrees(math.atan2(y, x)) + TARGET[1]
        moved = math.degrees(math.atan2(z, math.hypot(x, y))), (lon_moved + 180) % 360 - 180
        return round(moved[0], _DECIMALS), round(moved[1], _DECIMALS)

    def values(self, raw: dict[int, int]) -> dict[int, int]:
        """A row of raw integers, moved as its report was."""
        moved = dict(raw)
        if LAT.id in raw and LON.id in raw:
            was = (raw[LAT.id], raw[LON.id])
            if was not in self._raw:
                lat_deg, lon_deg = self.place(LAT.value(was[0]), LON.value(was[1]))
                self._raw[was] = LAT.raw(lat_deg), LON.raw(lon_deg)
            moved[LAT.id], moved[LON.id] = self._raw[was]
        if ALTITUDE.id in raw:
            moved[ALTITUDE.id] -= ALTITUDE.raw(self._base_m)
        return moved

    def device(self, path: str) -> str:
        """A receiver's path without what names it."""
        return self._devices.setdefault(path, f"/dev/gps{len(self._devices)}")

    def line(self, line: bytes) -> bytes:
        """A line of gpsd: only what is known to tell no place, moved where it does."""
        end = line[len(line.rstrip(b"\r\n")) :]
        try:
            report = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return (b"?" if line.strip() else b"") + end
        return msgspec.json.encode(self._report(report, line)) + end

    def _report(self, report: dict[str, Any], line: bytes) -> dict[str, Any]:
        kind = report.get("class")
        kept = {key: report[key] for key in _KEPT.get(str(kind), ()) if key in report}
        if isinstance(devices := kept.get("devices"), Sequence):
            kept["devices"] = [self._report(d | {"class": "DEVICE"}, b"") for d in devices if isinstance(d, dict)]
        if isinstance(satellites := kept.get("satellites"), Sequence):
            kept["satellites"] = [{"used": bool(s.get("used"))} for s in satellites if isinstance(s, dict)]
        for key in ("device", "path"):
            if isinstance(kept.get(key), str) and kept[key]:
                kept[key] = self.device(kept[key])
        for key in ("time", "activated"):
            if isinstance(kept.get(key), str):
                kept[key] = self._time(kept[key])
        if kind == "TPV":
            self._fix(kept, line)
        return {"class": kind} | kept

    def _fix(self, kept: dict[str, Any], line: bytes) -> None:
        for key in ("alt", "altMSL", "altHAE"):
            if isinstance(kept.get(key), int | float):
                kept[key] = round(kept[key] - self._base_m, 4)
        if isinstance(kept.get("lat"), int | float) and isinstance(kept.get("lon"), int | float):
            was = self._raw_place(line)
            kept["lat"], kept["lon"] = self.place(kept["lat"], kept["lon"])
            now = self._raw_place(msgspec.json.encode({"class": "TPV"} | kept))
            if was is not None and now is not None:
                self._raw[was] = now
        else:
            kept.pop("lat", None)
            kept.pop("lon", None)

    def _raw_place(self, line: bytes) -> tuple[int, int] | None:
        try:
            measured = fix_values(msgspec.json.decode(line, type=Tpv), None)
        except msgspec.DecodeError:
            return None
        return None if measured is None else (measured[0][LAT.id], measured[0][LON.id])

    def _time(self, text: str) -> str:
        if not self.days:
            return text
        try:
            moved = datetime.fromisoformat(text) + timedelta(days=self.days)
        except (ValueError, OverflowError):
            return ""
        return moved.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moved.microsecond // 1000:03d}Z"
