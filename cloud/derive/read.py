"""Reads what derive needs of the telemetry store: ledgers of devices, and stored frames as its steps see them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from cloud.facts import DerivedFrame, RangeRow

Run = tuple[int, int, int]
"""(stream_no, first seq, last seq)."""


class DeviceLedger(Protocol):
    """A device's stream numbers, oldest first, and their ranges."""

    @property
    def tenant_id(self) -> int: ...
    @property
    def streams(self) -> Sequence[int]: ...
    @property
    def ranges(self) -> Mapping[int, Sequence[RangeRow]]: ...


class FrameReader(Protocol):
    """The telemetry store as derive needs it (`cloud.telemetry.derive_reader.DeriveReader`). Calls block."""

    def devices(self) -> Sequence[int]:
        """Every device that has a stream."""
        ...

    def ledgers(self, device_ids: Sequence[int]) -> Mapping[int, DeviceLedger]:
        """Ledgers as committed."""
        ...

    def frames(self, runs: Sequence[Run], signals: Sequence[str]) -> Iterator[DerivedFrame]:
        """Frames of the runs in stream and sequence order; ends a device's frames at the first without UTC."""
        ...

    def rewinds(self) -> tuple[int, Mapping[int, tuple[int, int]]]:
        """For each device the earliest frame that came late or was moved in time; and up to which note that holds."""
        ...

    def forget_rewinds(self, up_to: int) -> None:
        """The notes up to this number have been followed."""
        ...
