"""What can go wrong between us and an engine computer. Every answer is either good or one of these, never a guess."""

from typing import Literal

from sync_protocol.errors import Unavailable

BusKind = Literal[
    "no_data",
    "stopped",
    "buffer_full",
    "can_error",
    "bus_init",
    "unable_to_connect",
    "bus_busy",
    "bus_error",
    "feedback_error",
    "data_error",
    "adapter_alert",
    "adapter_error",
]


class ObdError(Unavailable):
    """Base of the errors of this sensor: there is no good answer now, ask again later."""


class AdapterLost(ObdError):
    """The port is gone or cannot be opened: close it and start again."""


class AdapterSilent(ObdError):
    """No prompt within the deadline."""


class AdapterReset(ObdError):
    """The adapter started anew by itself (a brown-out while cranking): its settings are lost."""


class NotUnderstood(ObdError):
    """The adapter answered `?`: it does not know the command."""


class BusError(ObdError):
    """The adapter reports that the vehicle's bus gave no answer. `kind` says which of its texts it was."""

    def __init__(self, kind: BusKind, text: str) -> None:
        super().__init__(f"{kind} ({text})")
        self.kind: BusKind = kind


class NegativeAnswer(ObdError):
    """An engine computer refused the request (ISO 14229 `7F service code`)."""

    def __init__(self, service: int, code: int) -> None:
        super().__init__(f"service {service:02X} refused with code {code:02X}")
        self.service = service
        self.code = code


class BadAnswer(ObdError):
    """The answer is damaged or answers something else. Nothing of it is used."""
