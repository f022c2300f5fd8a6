"""Derive step: what a vehicle's computer says about itself (the VIN) goes into the vehicle's record."""

from typing import Any

import msgspec
from sqlalchemy.orm import Session

from cloud.facts import DerivedFrame
from cloud.fleet.registry import note_vin


class NoState(msgspec.Struct, frozen=True):
    """This step remembers nothing."""


class IdentifyStep:
    """`cloud.facts.Step`: events `vin_read`."""

    name = "identify"
    signals: tuple[str, ...] = ()
    state_type: type[Any] = NoState

    def start(self) -> NoState:
        """Nothing to begin with."""
        return NoState()

    def apply(self, state: NoState, frame: DerivedFrame, session: Session) -> NoState:
        """Note the VIN of each `vin_read`."""
        for _, event in frame.events:
            vin = event.data.get("vin")
            if event.kind == "vin_read" and frame.vehicle_id is not None and isinstance(vin, str):
                note_vin(session, frame.vehicle_id, vin)
        return state

    def is_boundary(self, state: NoState) -> bool:
        """Always: nothing is ever in the middle."""
        return True

    def rewind(self, state: NoState, device_id: int, session: Session) -> None:
        """Nothing to take back: applying an event again writes the same."""
