"""What a scan tells: plain data for the control socket and for the command that writes a profile of it.

PIDs and addresses of computers are in hexadecimal. The VIN stays in the vehicle: of it only who made it, and when.
"""

from typing import Literal

import msgspec

PidState = Literal["answered", "unannounced", "unanswered"]


class ScanProgress(msgspec.Struct, frozen=True):
    """What the scan is at: `done` of `total` steps of it."""

    doing: str
    done: int
    total: int


class PidFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One of our PIDs. `unannounced` ones answered nevertheless; `unanswered` ones are announced and never did.

    `answer_ms` is what the exchange takes once the adapter knows the answer's length, `slowest_ms` the longest one,
    `lost_count` how many of the questions stayed without a good answer. `values` are the last ones, in the catalogue's
    units; the `doubtful` of them may be filler: all bits are set, or the signal cannot have the value.
    """

    pid: str
    ecu: str
    state: PidState
    answer_ms: float | None = None
    slowest_ms: float | None = None
    lost_count: int = 0
    values: dict[str, float] = {}
    doubtful: tuple[str, ...] = ()
    reason: str = ""


class ComputerFinding(msgspec.Struct, frozen=True):
    """A computer and the PIDs that it announces, known to us or not."""

    ecu: str
    pids: list[str]


class ScanReport(msgspec.Struct, frozen=True, kw_only=True):
    """All that was found out, and the periods that the bus has time for.

    `wmi` are the first three characters of the VIN, None when it is not told. `base` is the shipped profile whose
    `skip` and periods were the start. `periods_s` are those that differ from the catalogue's. `load` is the share of
    time that the bus is busy with them; without `fits` the agent will not keep them and takes turns. `has_multi_pid`
    is what the adapter let through, `batches_failed` of `batches_count` requests for several PIDs went wrong.
    """

    wmi: str | None
    make: str | None
    model_years: tuple[int, ...]
    fuel_type: int | None
    engine_rpm: float | None
    protocol: str
    protocol_name: str
    adapter: str
    battery_v: float | None
    computers: list[ComputerFinding]
    pids: list[PidFinding]
    has_multi_pid: bool | None
    has_frame_count: bool | None
    batches_count: int
    batches_failed: int
    is_padded: bool
    answer_timeout_ms: int | None
    adaptive_timing: int | None
    pids_per_request: int
    values_per_s: float
    base: str | None
    skip: tuple[str, ...]
    periods_s: dict[str, float]
    load: float
    fits: bool

    def found(self, state: PidState) -> list[PidFinding]:
        """The PIDs in this state."""
        return [finding for finding in self.pids if finding.state == state]
