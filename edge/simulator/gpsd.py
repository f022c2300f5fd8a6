"""gpsd's JSON protocol (release 3.22, protocol 3.14) on TCP, for one receiver."""

import asyncio
from datetime import UTC, datetime
import re
from typing import Any

import msgspec

from edge.simulator.receiver import SATELLITES, Fix

DEVICE = "/dev/ttyS0"
_VERSION = {"class": "VERSION", "release": "3.22", "rev": "3.22", "proto_major": 3, "proto_minor": 14}
_BACKLOG_BYTES = 65_536  # a client that reads no more is left without, as gpsd does


class _Client:
    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.is_watching = False

    def send(self, *objects: dict[str, Any]) -> None:
        if self.writer.transport.get_write_buffer_size() < _BACKLOG_BYTES:
            self.writer.write(b"".join(msgspec.json.encode(o) + b"\r\n" for o in objects))


class GpsdServer:
    """Serves `publish`ed fixes to every client that watches."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._host = host
        self._server: asyncio.Server | None = None
        self._clients: set[_Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: tuple[dict[str, Any], dict[str, Any]] | None = None
        self.activated = _iso(datetime.now(UTC))
        self.port = 0

    @property
    def host(self) -> str:
        """The address that clients connect to."""
        return self._host

    @property
    def has_clients(self) -> bool:
        """Whether a fix would reach anybody."""
        return bool(self._clients)

    async def start(self, port: int = 0) -> None:
        """Listen; `port` tells where, also after asking for any free one (0)."""
        self._server = await asyncio.start_server(self._accept, self._host, port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Hang up on everybody and close the port."""
        if self._server is not None:
            self._server.close()
        for client in list(self._clients):
            client.writer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def publish(self, fix: Fix, at: datetime) -> None:
        """Send one epoch (TPV, and SKY every fifth second) to those who watch."""
        self._last = (_tpv(fix, at), _sky(fix, at))
        for client in self._clients:
            if client.is_watching:
                client.send(*(self._last if at.second % 5 == 0 else self._last[:1]))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        client = _Client(writer)
        self._tasks.add(task)
        self._clients.add(client)
        client.send(_VERSION)
        pending = ""
        try:
            while chunk := await reader.read(4096):
                pending = (pending + chunk.decode("utf-8", "replace"))[-8192:]
                *commands, pending = re.split(r"[;\r\n]", pending)
                for command in commands:
                    if command.strip():
                        client.send(*self._answer(client, command.strip()))
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went, or we do
        finally:
            self._clients.discard(client)
            self._tasks.discard(task)
            writer.close()

    def _answer(self, client: _Client, command: str) -> list[dict[str, Any]]:
        name, _, argument = command.partition("=")
        if name == "?VERSION":
            return [_VERSION]
        if name == "?DEVICES":
            return [self._devices()]
        if name == "?DEVICE":
            return [self._device()]
        if name == "?POLL":
            tpv, sky = self._last or ({}, {})
            now = _iso(datetime.now(UTC))
            return [{"class": "POLL", "time": now, "active": 1, "tpv": [tpv], "sky": [sky], "gst": []}]
        if name == "?WATCH":
            try:
                asked = msgspec.json.decode(argument, type=dict[str, Any]) if argument else {}
            except msgspec.DecodeError as problem:
                return [{"class": "ERROR", "message": f"Invalid WATCH: {problem}"}]
            enable = bool(asked.get("enable", True)) if argument else client.is_watching
            client.is_watching = enable and bool(asked.get("json", enable))
            watch = {
                "class": "WATCH", "enable": enable, "json": client.is_watching, "nmea": False, "raw": 0,
                "scaled": False, "timing": False, "split24": False, "pps": False,
            }  # fmt: skip
            return [self._devices(), watch]
        return [{"class": "ERROR", "message": f"Unrecognized request '{command}'"}]

    def _device(self) -> dict[str, Any]:
        return {
            "class": "DEVICE", "path": DEVICE, "driver": "NMEA0183", "activated": self.activated, "flags": 1,
            "native": 0, "bps": 9600, "parity": "N", "stopbits": 1, "cycle": 1.0,
        }  # fmt: skip

    def _devices(self) -> dict[str, Any]:
        return {"class": "DEVICES", "devices": [self._device()]}


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _tpv(fix: Fix, at: datetime) -> dict[str, Any]:
    report: dict[str, Any] = {"class": "TPV", "device": DEVICE, "mode": fix.mode, "time": _iso(at), "ept": 0.005}
    if fix.mode < 2:
        return report
    axis_m = fix.error_m / 1.414
    return report | {
        "lat": round(fix.lat_deg, 9), "lon": round(fix.lon_deg, 9),
        "altHAE": round(fix.altitude_m + 48.4, 4), "altMSL": round(fix.altitude_m, 4), "alt": round(fix.altitude_m, 4),
        "epx": round(axis_m, 3), "epy": round(axis_m, 3), "epv": round(fix.altitude_error_m, 3),
        "track": round(fix.heading_deg, 4), "speed": round(fix.speed_ms, 3), "climb": round(fix.climb_ms, 3),
        "eps": round(fix.error_m / 10, 2), "epc": round(fix.altitude_error_m / 5, 2), "geoidSep": 48.4,
        "eph": round(fix.error_m, 3), "sep": round(fix.error_m * 1.9, 3),
    }  # fmt: skip


def _sky(fix: Fix, at: datetime) -> dict[str, Any]:
    satellites = [
        {
            "PRN": number, "gnssid": 0, "svid": number, "el": float(elevation), "az": float(azimuth),
            "ss": round(24 + elevation / 3.5, 1), "used": index < fix.used,
        }
        for index, (number, elevation, azimuth) in enumerate(sorted(SATELLITES, key=lambda s: -s[1]))
    ]  # fmt: skip
    report: dict[str, Any] = {"class": "SKY", "device": DEVICE, "time": _iso(at)}
    if fix.mode >= 2:
        hdop = round(fix.hdop, 2)
        report |= {"hdop": hdop, "vdop": round(hdop * 1.6, 2), "pdop": round(hdop * 1.9, 2), "tdop": round(hdop, 2)}
        report |= {"xdop": round(hdop * 0.7, 2), "ydop": round(hdop * 0.7, 2), "gdop": round(hdop * 2.2, 2)}
    return report | {"nSat": len(satellites), "uSat": fix.used, "satellites": satellites}
