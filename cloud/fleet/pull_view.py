"""What is asked of a vehicle out of turn, and what became of it, as the API shows it."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

PullState = Literal["requested", "done", "refused", "cancelled", "expired"]


class PullRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """The range that is wanted, ISO 8601 with zone, and how much the SIM may pay for it at most, in MB."""

    from_: str
    to: str
    most_mb: Annotated[float, msgspec.Meta(gt=0, le=50)] = 5.0


class TimeSpan(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """A stretch of time."""

    from_: datetime
    to: datetime


class Pull(msgspec.Struct, kw_only=True, rename={"from_": "from"}):
    """A range that was asked for. `requested` until the device has told: it may be offline, or still sending.

    `is_cut`: there was more than `most_mb`. `missing`: not measured, or no longer on the device.
    """

    id: int
    vehicle_id: int
    from_: datetime
    to: datetime
    most_mb: float
    state: PullState
    asked_at: datetime
    frames: int | None = None
    size_bytes: int | None = None
    held: TimeSpan | None = None
    missing: list[TimeSpan] = []
    is_cut: bool = False
    reason: str | None = None


class PullList(msgspec.Struct, frozen=True):
    """The pulls of a vehicle, newest first."""

    items: list[Pull]
