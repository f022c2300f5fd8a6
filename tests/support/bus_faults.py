"""What adapters and buses do on a bad day, as data: what happens, what must be said of it, and how it ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.sensors.base import LinkState
from tests.support.loop_elm import RESTART, UNPLUG, Script, Step

ALL = r".*"


@dataclass(frozen=True)
class Fault:
    """`error` is what one read ends with: a class of errors.py, for a BusError with its kind, or "" for a good value.

    `link` is what the sensor's state comes to while the fault lasts, `mark` what its signals are marked with.
    """

    name: str
    script: Script | None
    error: str
    link: LinkState
    mark: str = "bus_error"
    voltage: str = "14.1V"
    gone_ecus: tuple[int, ...] = ()
    is_unplugged: bool = field(default=False)


def _text(text: str) -> Script:
    return Script([(0, "{echo}" + text + "\r\r>")])


def _steps(*steps: Step, on: str = r"(?!AT).*") -> Script:
    return Script(steps, on)


def _away(name: str, text: str, error: str, mark: str = "bus_error") -> list[Fault]:
    """A vehicle that does not answer: asleep by its voltage, or a fault while the alternator charges."""
    return [
        Fault(f"{name}, engine off", _text(text), error, "closed", mark, voltage="12.4V"),
        Fault(f"{name}, engine running", _text(text), error, "failing", mark),
    ]


FAULTS: Sequence[Fault] = (
    Fault("unplugged", _steps((0, UNPLUG)), "AdapterLost", "failing", ""),
    Fault(
        "unplugged in the middle of a frame", _steps((0, "{echo}{first}"), (0.02, UNPLUG)), "AdapterLost", "failing", ""
    ),
    Fault("silence after the echo", _steps((0, "{echo}")), "AdapterSilent", "failing"),
    Fault("silence", _steps(on=ALL), "AdapterSilent", "failing"),
    Fault("stall in the middle of a frame", _steps((0, "{echo}{first}"), on=ALL), "AdapterSilent", "failing"),
    Fault("an answer without its prompt", _steps((0, "{echo}{answer}")), "AdapterSilent", "failing"),
    Fault("chatter without a prompt", _steps(*[(0.05, "7E803410D63\r")] * 200, on=ALL), "AdapterSilent", "failing"),
    Fault("a flood without a prompt", _steps((0, "7E8" * 30_000), on=ALL), "AdapterSilent", "failing"),
    Fault("garbage", _steps((0, "\xfe\x80\xff\x07\xe0>"), on=ALL), "BadAnswer", "failing", "invalid"),
    Fault("garbage for the vehicle's answers", _text("\xfe\x80\xff"), "BadAnswer", "failing", "invalid"),
    Fault("hexadecimal noise", _text("3F9A01C4"), "BadAnswer", "failing", "invalid"),
    Fault("an empty answer", _text(""), "BadAnswer", "failing", "invalid"),
    Fault("truncated answers", _steps((0, "{echo}{first}\r\r>")), "BadAnswer", "failing", "invalid"),
    Fault("echo lost", _steps((0, "{answer}\r>")), "BadAnswer", "failing", "invalid"),
    Fault("the echo of another command", _steps((0, "010C\r{answer}\r>")), "BadAnswer", "failing", "invalid"),
    Fault("another computer's answer", _text("7E903410D63AAAAAAAA"), "BusError:no_data", "failing", "no_data"),
    Fault("the answer to another PID", _text("7E803410E63AAAAAAAA"), "BadAnswer", "failing", "invalid"),
    Fault("the answer to another service", _text("7E803420D63AAAAAAAA"), "BadAnswer", "failing", "invalid"),
    Fault("refused (7F 01 12)", _text("7E8037F0112AAAAAAAA"), "NegativeAnswer", "failing"),
    Fault("?", _text("?"), "NotUnderstood", "failing"),
    Fault("STOPPED", _text("STOPPED"), "BusError:stopped", "failing"),
    Fault("BUFFER FULL", _text("BUFFER FULL"), "BusError:buffer_full", "failing"),
    Fault("BUFFER FULL after a line", _text("{first}\rBUFFER FULL"), "BusError:buffer_full", "failing"),
    Fault("BUS BUSY", _text("BUS BUSY"), "BusError:bus_busy", "failing"),
    Fault("DATA ERROR", _text("DATA ERROR"), "BusError:data_error", "failing"),
    Fault("<DATA ERROR at a line", _text("7E803410D63 <DATA ERROR"), "BusError:data_error", "failing"),
    Fault("<RX ERROR at a line", _text("7E803410D63 <RX ERROR"), "BusError:data_error", "failing"),
    Fault("ACT ALERT", _text("ACT ALERT"), "BusError:adapter_alert", "failing"),
    Fault("LP ALERT", _text("LP ALERT"), "BusError:adapter_alert", "failing"),
    Fault("ERR94", _text("ERR94"), "BusError:adapter_error", "failing"),
    *_away("NO DATA", "NO DATA", "BusError:no_data", "no_data"),
    *_away("CAN ERROR", "CAN ERROR", "BusError:can_error"),
    *_away("UNABLE TO CONNECT", "SEARCHING...\rUNABLE TO CONNECT", "BusError:unable_to_connect"),
    *_away("BUS INIT: ERROR", "BUS INIT: ...ERROR", "BusError:bus_init"),
    *_away("BUS INIT: ERROR, in two lines", "BUS INIT: \rERROR", "BusError:bus_init"),
    *_away("BUS ERROR", "BUS ERROR", "BusError:bus_error"),
    *_away("FB ERROR", "FB ERROR", "BusError:feedback_error"),
    Fault("LV RESET while cranking", _steps((0, RESTART), (0, "LV RESET\r\r>")), "AdapterReset", "failing", ""),
    Fault("restart, settings lost", _steps((0, RESTART), (0, "\r\rELM327 v1.5\r\r>")), "AdapterReset", "failing", ""),
    Fault("settings lost unseen", _steps((0, RESTART), (0, "{echo}410D63\r\r>")), "BadAnswer", "failing", "invalid"),
    Fault("late answers", _steps((2.6, "{echo}{answer}\r>")), "AdapterSilent", "failing"),
    Fault("small letters", _steps((0, "{echo}{lower}\r>")), "", "open", ""),
    Fault(
        "answers in pieces", _steps((0, "{echo}"), (0.02, "{first}"), (0.03, "{second}"), (0.01, "\r>")), "", "open", ""
    ),
    Fault("0.7 s late each time", _steps((0.7, "{echo}{answer}\r>")), "", "open", ""),
    Fault("NUL bytes", _steps((0, "{echo}\0{first}\0{second}\r\0>")), "", "open", ""),
    Fault("a lost digit of the voltage", _steps((0, "{echo}4.1V\r\r>"), on="ATRV"), "", "open", ""),
    Fault("no voltage", _steps((0, "{echo}\xff\r\r>"), on="ATRV"), "", "open", ""),
    Fault("one of two computers is gone", None, "", "open", "no_data", gone_ecus=(0x7E9,)),
    Fault("all computers are gone, engine off", None, "BusError:no_data", "closed", "no_data", "12.4V", (0x7E8, 0x7E9)),
    Fault("the adapter is away", None, "AdapterLost", "failing", "", is_unplugged=True),
)
