"""The temperature of the device's own board, as Linux tells it: a thermal zone, in thousandths of a degree Celsius."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from edge.sensors.base import Fact, LinkState, SensorSink, SensorState
from sync_protocol.signals import catalogue

log = structlog.get_logger(__name__)

_BOARD = catalogue().by_name["board_c"]
_PERIOD_MS = round(1000 * _BOARD.period_s)


class BoardConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[board]`. A machine without such a file has no board temperature; that is told once in the log."""

    enabled: bool = True
    path: str = "/sys/class/thermal/thermal_zone0/temp"  # whole thousandths of a degree Celsius


class BoardSensor:
    """Rows of group `board`: one at the start, then one at each full minute of device time."""

    name = "board"

    def __init__(self, config: BoardConfig, clock: Callable[[], int]) -> None:
        """`clock` gives boot_ms."""
        self._path = Path(config.path)
        self._clock = clock
        self._link: LinkState = "closed"
        self._detail = "not started"
        self._since_ms = clock()
        self._counts = {"read": 0, "failed": 0}

    def state(self) -> SensorState:
        """`open` while the file is read; `closed` where there never was one; `failing` when it no longer can be."""
        facts: dict[str, Fact] = {"path": str(self._path)}
        return SensorState(self._link, self._detail, self._since_ms, facts | self._counts)

    async def run(self, sink: SensorSink) -> None:
        """Measure until cancelled."""
        try:
            while True:
                await self._measure(sink)
                due_ms = (self._clock() // _PERIOD_MS + 1) * _PERIOD_MS
                while (left_ms := due_ms - self._clock()) > 0:
                    await asyncio.sleep(left_ms / 1000)
        except asyncio.CancelledError:
            self._become("closed", "stopped")
            raise

    async def _measure(self, sink: SensorSink) -> None:
        at_ms = self._clock()
        try:
            # In a thread: on some machines the kernel asks a slow controller before it answers.
            board_c = int(await asyncio.to_thread(self._path.read_bytes)) / 1000
        except (OSError, ValueError) as err:  # ValueError: not a number
            self._fail(sink, at_ms, getattr(err, "strerror", None) or str(err))
            return
        if self._link == "failing":
            log.info("board_found", path=str(self._path))
        self._counts["read"] += 1
        self._become("open", f"{board_c:.0f} °C")
        raw = _BOARD.raw(board_c)
        if _BOARD.is_in_range(raw):
            sink.row("board", at_ms, {_BOARD.id: raw})
        else:  # absolute zero and beyond is how drivers say that they do not know
            sink.mark([_BOARD.id], at_ms, "out_of_range")

    def _fail(self, sink: SensorSink, at_ms: int, reason: str) -> None:
        if self._link == "open":
            log.warning("board_lost", path=str(self._path), reason=reason)
            sink.mark([_BOARD.id], at_ms, "no_data")
        elif not self._counts["failed"]:
            log.info("board_absent", path=str(self._path), reason=reason)
        self._counts["failed"] += 1
        self._become("failing" if self._counts["read"] else "closed", reason)

    def _become(self, link: LinkState, detail: str) -> None:
        if link != self._link:
            self._since_ms = self._clock()
        self._link, self._detail = link, detail
