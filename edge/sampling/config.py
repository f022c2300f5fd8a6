"""Section `[sampling]` of the device's configuration."""

from typing import Annotated, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class SamplingConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How frames are closed and what is derived on the device."""

    frame_period_s: Seconds = 10.0
    watched_period_s: Seconds = 1.0  # while somebody looks at the vehicle
    watch_budget_s: Annotated[float, msgspec.Meta(ge=0)] = 7200.0  # a day; 1 s frames cost six times the data
    fuel: Literal["auto", "petrol", "diesel", "electric"] = "auto"  # auto: from PID 51
