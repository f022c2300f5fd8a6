"""What every sensor offers and what it may call: the only two interfaces between sensors and the rest of the device.

A new sensor is one class. An accelerometer on I2C, for example, fits without a change here:

    class MotionSensor:
        name = "motion"

        async def run(self, sink: SensorSink) -> None:
            while True:
                instant_ms = await self._next_instant()          # on the grid boot_ms % 100 == 0
                x, y, z = await self._read_axes()                 # raw counts of the chip
                sink.row("motion", instant_ms, {145: x, 146: y, 147: z})  # raw integers of the catalogue

        def state(self) -> SensorState: ...
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from sync_protocol.messages import MarkKind, TimeAnchor

LinkState = Literal["closed", "opening", "open", "failing"]
Fact = str | int | float | None


class SensorSink(Protocol):
    """Takes what sensors measure. Called on the event loop; never blocks. Times are boot_ms (CLOCK_BOOTTIME)."""

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        """One instant of a group: raw integers by signal id. A signal that was not read is left out."""

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        """These signals have no good sample at this instant, and why."""

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        """Something happened; `data` holds values with their units in the names."""

    def anchor(self, anchor: TimeAnchor) -> None:
        """The sensor knows what time it is."""


class SensorState(msgspec.Struct, frozen=True):
    """What `milepost status` and `milepost doctor` show of a sensor: true at the moment it is asked for.

    `open` means that the peer answers with what is wanted, not that a port could be opened.
    """

    link: LinkState
    detail: str
    since_boot_ms: int
    facts: dict[str, Fact] = {}


class Sensor(Protocol):
    """Something that measures."""

    name: str

    async def run(self, sink: SensorSink) -> None:
        """Measure until cancelled. Lost peers are reconnected to inside; only bugs are raised."""

    def state(self) -> SensorState:
        """The link and its facts now."""
