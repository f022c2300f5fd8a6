"""Trouble codes as the engine computer keeps them: pending, stored, permanent, with freeze frame and counters."""

from collections.abc import Mapping

from edge.simulator.faults import CODES


class Troubles:
    """The fault memory. A fault whose effect is seen long enough becomes pending, then stored with the lamp lit."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.pending: list[str] = []
        self.permanent: list[str] = []
        self.freeze: Mapping[str, float] = {}
        self.freeze_code: str | None = None
        self._seen_s: dict[str, float] = {}
        self.lamp_m = 0.0
        self.lamp_s = 0.0
        self.clear_m = 0.0
        self.clear_s = 0.0
        self.warmups = 0

    @property
    def is_lamp_on(self) -> bool:
        """Whether the malfunction indicator is lit."""
        return bool(self.stored)

    def run(self, dt_s: float, moved_m: float, effects: Mapping[str, bool]) -> str | None:
        """Count `dt_s` with the engine running; returns a code that became stored just now.

        `effects` says for each active fault whether its effect shows at this moment.
        """
        self.clear_s += dt_s
        self.clear_m += moved_m
        if self.stored:
            self.lamp_s += dt_s
            self.lamp_m += moved_m
        new: str | None = None
        for fault, shows in effects.items():
            code, pending_s, stored_s = CODES.get(fault) or (fault.removeprefix("dtc="), 0.0, 0.0)
            if not shows or code in self.stored:
                continue
            seen_s = self._seen_s[fault] = self._seen_s.get(fault, 0.0) + dt_s
            if seen_s >= pending_s and code not in self.pending:
                self.pending.append(code)
            if seen_s >= stored_s:
                self.stored.append(code)
                self.permanent.append(code)
                new = code
        return new

    def clear(self) -> None:
        """Mode 04: everything but the permanent codes is forgotten."""
        permanent = self.permanent
        self.__init__()  # type: ignore[misc]  # no class is derived from this one
        self.permanent = permanent
