"""The position sensor: reads gpsd's JSON, believes only fresh fixes, reconnects when gpsd dies or hangs."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
import random
from typing import Annotated

import msgspec
import structlog

from edge.sensors.base import Fact, LinkState, SensorSink, SensorState
from edge.sensors.gps_clock import RELEASED_UTC_MS, GpsClock
from edge.sensors.gps_jump import JumpWatch
from edge.sensors.gps_report import FIX_ID, GPS_IDS, Devices, Sky, Tpv, Unreadable, Version, fix_values, parse, utc_ms
from edge.sensors.gps_stream import OpenStream, TcpStream
from sync_protocol.errors import Unavailable

log = structlog.get_logger(__name__)

_WATCH = b'?WATCH={"enable":true,"json":true}\n'
_ALIVE = b"?VERSION;\n"
_SKY_VALID_MS = 10_000
_OLDER_MS = 10_000  # a fix older than the last one by less than this is a straggler, by more a step of the clock

Seconds = Annotated[float, msgspec.Meta(gt=0)]


class GpsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[gps]`."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 2947
    device: str | None = None  # of several receivers, the path of the one to believe; None: the first with a fix
    silence_s: Annotated[float, msgspec.Meta(gt=0, le=2)] = 2.0  # then gpsd is asked whether it lives; as long again
    lost_s: Seconds = 2.0  # the receiver says that it has no fix, this long after the last one
    stale_s: Seconds = 5.0  # the last fix is this old, whatever is said
    retry_s: Seconds = 0.5
    retry_max_s: Seconds = 10.0


class GpsSensor:
    """Rows of group `gps`, one for each fix of a new time; anchors; marks `stale` when the fix stops."""

    name = "gps"

    def __init__(
        self,
        config: GpsConfig,
        clock: Callable[[], int],
        released_utc_ms: int = RELEASED_UTC_MS,
        open_stream: OpenStream = TcpStream.open,
        rng: random.Random | None = None,
    ) -> None:
        """`clock` gives boot_ms. GPS times before `released_utc_ms` are not believed. `rng` jitters waits."""
        self._open_stream = open_stream
        self._rng = rng or random.Random()
        self._config = config
        self._clock = clock
        self._gps_clock = GpsClock(released_utc_ms)
        self._link: LinkState = "closed"
        self._detail = "not started"
        self._since_ms = clock()
        self._sky: tuple[int, Sky] | None = None
        self._device: str | None = config.device
        self._fix_ms: int | None = None  # when the last fix of a new time came; None while there is no fix
        self._utc_ms: int | None = None
        self._is_time_refused = False
        self._jumps = JumpWatch()
        self._counts = dict.fromkeys(("fixes", "repeated", "without_time", "unreadable", "other_device"), 0)
        self._facts: dict[str, Fact] = {}

    def state(self) -> SensorState:
        """`open` only while fixes come; `opening` while gpsd has none; `failing` while gpsd does not answer."""
        facts: dict[str, Fact] = {"gpsd": f"{self._config.host}:{self._config.port}", "device": self._device}
        return SensorState(self._link, self._detail, self._since_ms, facts | self._facts | self._counts)

    async def run(self, sink: SensorSink) -> None:
        """Measure until cancelled."""
        wait_s = self._config.retry_s
        while True:
            begun_ms = self._clock()
            try:
                await self._listen(sink)
            except (OSError, TimeoutError, ValueError, Unavailable) as err:  # ValueError: a line beyond the limit
                if self._link != "failing":
                    log.warning("gpsd_lost", reason=str(err) or type(err).__name__)
                self._become("failing", f"gpsd: {err or type(err).__name__}")
            except asyncio.CancelledError:
                self._become("closed", "stopped")
                raise
            if self._clock() - begun_ms > self._config.retry_max_s * 1000:
                wait_s = self._config.retry_s
            until_ms = self._clock() + wait_s * self._rng.uniform(0.5, 1.0) * 1000
            while (left_ms := until_ms - self._clock()) > 0:
                await asyncio.sleep(min(left_ms / 1000, 0.5))
                self._check_age(sink)
            wait_s = min(wait_s * 2, self._config.retry_max_s)

    async def _listen(self, sink: SensorSink) -> None:
        if self._link == "closed":
            self._become("opening", "connecting to gpsd")
        async with asyncio.timeout(self._config.silence_s):
            stream = await self._open_stream(self._config.host, self._config.port)
        try:
            stream.write(_WATCH)
            is_asked = True  # gpsd greets by itself: its silence is a hang from the start
            while True:
                line = b""
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._config.silence_s):
                        line = await stream.readline()
                        if not line.endswith(b"\n"):
                            raise Unavailable("closed the connection")
                if line:
                    is_asked = False
                    self._take(line, sink)
                elif is_asked:
                    raise Unavailable(f"hangs: no word within {self._config.silence_s:g} s")
                else:
                    is_asked = True
                    stream.write(_ALIVE)
                self._check_age(sink)
        finally:
            stream.close()

    def _take(self, line: bytes, sink: SensorSink) -> None:
        try:
            report = parse(line)
        except Unreadable:
            self._counts["unreadable"] += 1
            return
        match report:
            case Version():
                self._facts["gpsd_release"] = report.release
                if self._link == "failing":
                    log.info("gpsd_found", release=report.release)
                if self._fix_ms is None or self._link == "failing":
                    self._become("opening", "waiting for a fix")
            case Devices():
                if not report.devices:
                    self._become("opening", "gpsd has no receiver")
            case Sky():
                if report.used is not None or report.hdop is not None:
                    self._sky = (self._clock(), report)
            case Tpv():
                self._take_fix(report, sink)

    def _take_fix(self, tpv: Tpv, sink: SensorSink) -> None:
        now_ms = self._clock()
        if not self._is_our_device(tpv):
            self._counts["other_device"] += 1
            return
        if tpv.mode < 2:
            if self._fix_ms is not None and now_ms - self._fix_ms >= self._config.lost_s * 1000:
                self._lose(sink, now_ms, f"no fix (mode {tpv.mode})", {FIX_ID: max(0, tpv.mode)})
            return
        time_ms = utc_ms(tpv)
        if time_ms is None:
            self._counts["without_time"] += 1
            return
        if self._utc_ms is not None and self._utc_ms - _OLDER_MS < time_ms <= self._utc_ms:
            self._counts["repeated"] += 1
            return
        is_sky_valid = self._sky is not None and now_ms - self._sky[0] <= _SKY_VALID_MS
        measured = fix_values(tpv, self._sky[1] if self._sky is not None and is_sky_valid else None)
        if measured is None:
            self._counts["unreadable"] += 1
            return
        values, outside = measured
        placed = self._gps_clock.place(time_ms, now_ms)
        if placed.anchor is not None:
            sink.anchor(placed.anchor)
        if not placed.is_believed and not self._is_time_refused:
            sink.event("gps_time_refused", now_ms, {"gps_utc_ms": time_ms})
            log.warning("gps_time_refused", gps_utc_ms=time_ms)
        self._is_time_refused = not placed.is_believed
        sink.row("gps", placed.boot_ms, values)
        jump = None if tpv.lat is None or tpv.lon is None else self._jumps.take(placed.boot_ms, tpv.lat, tpv.lon)
        if jump is not None:
            sink.event("position_jumped", placed.boot_ms, jump._asdict())
            log.warning("position_jumped", **jump._asdict())
        if outside:
            sink.mark(outside, placed.boot_ms, "out_of_range")
        self._device = tpv.device or self._device
        self._fix_ms, self._utc_ms = now_ms, time_ms
        self._counts["fixes"] += 1
        self._facts["last_row_boot_ms"] = placed.boot_ms
        self._become("open", f"{'3D' if tpv.mode >= 3 else '2D'} fix")

    def _is_our_device(self, tpv: Tpv) -> bool:
        if self._config.device is not None:
            return tpv.device == self._config.device
        return self._fix_ms is None or self._device is None or tpv.device == self._device

    def _check_age(self, sink: SensorSink) -> None:
        now_ms = self._clock()
        if self._fix_ms is not None and now_ms - self._fix_ms >= self._config.stale_s * 1000:
            self._lose(sink, now_ms, "the last fix is stale", {})

    def _lose(self, sink: SensorSink, now_ms: int, detail: str, values: dict[int, int]) -> None:
        self._fix_ms = None
        sink.mark(GPS_IDS, now_ms, "stale")
        if values:
            sink.row("gps", self._gps_clock.rising(now_ms), values)
        if self._link == "open":
            self._become("opening", detail)

    def _become(self, link: LinkState, detail: str) -> None:
        if link != self._link:
            self._since_ms = self._clock()
        self._link, self._detail = link, detail
