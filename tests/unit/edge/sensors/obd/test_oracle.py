"""The catalogue's decoding against python-OBD's (an oracle, installed for tests only), disagreement by disagreement.

`docs/obd-oracle.md` says in words what the tables here say in code; the test holds them together.
"""

from collections.abc import Callable, Mapping
import csv
from pathlib import Path
import random
from typing import Any
import warnings

import pytest

from edge.sensors.obd.answer import Bus, messages
from edge.sensors.obd.decode import raw_values
from edge.sensors.python_obd.values import UNITS
from sync_protocol.signals import catalogue
from tests.support.real_data import require_data

PAGE = Path(__file__).parents[5] / "docs" / "obd-oracle.md"
DRAWS = 60
TOLERANCE = {"rel": 1e-9, "abs": 1e-9}

# PIDs whose answers differ, by the reason. Every one must differ, and no other may.
DIFFERENT: Mapping[str, tuple[int, ...]] = {
    "sign of each byte": (0x32,),
    "order of bits": (0x13, 0x1E),
    "rounded resolution": (0x24, 0x25, 0x44),
}
# Texts and bits that python-OBD gives instead of numbers, as numbers of ours by hand (below), which agree.
BY_HAND: Mapping[int, Callable[[Any], Mapping[str, int]]] = {
    0x01: lambda value: {"is_mil_on": int(value.MIL), "dtc_count": value.DTC_count},
    0x03: lambda value: {f"fuel_system_{n}": _bit("FUEL_STATUS", text) for n, text in enumerate(value, 1) if text},
    0x12: lambda value: {"secondary_air": _bit("AIR_STATUS", value)},
    0x13: lambda value: {"o2_sensors_bits": sum(has << n for n, has in enumerate(value[1] + value[2]))},
    0x1C: lambda value: {} if value == "Reserved" else {"obd_standard": _place("OBD_COMPLIANCE", value)},
    0x1E: lambda value: {"is_pto_on": int(value)},
    0x51: lambda value: {"fuel_type": _place("FUEL_TYPES", value)},
}


def _place(table: str, text: str) -> int:
    import obd.codes

    return int(getattr(obd.codes, table).index(text))


def _bit(table: str, text: str) -> int:
    return 1 << _place(table, text)


# What python-OBD has no decoder for, or one that gives less than we take.
NOT_COMPARED: Mapping[str, tuple[int, ...]] = {
    "unknown to python-OBD": (0x61, 0x62, 0x63, 0x67, 0x8E, 0x9D, 0xA4, 0xA6),
    "monitors by name there, bits here": (0x41,),
}


@pytest.fixture(scope="module")
def decode() -> Callable[[int, bytes], Any]:
    """What python-OBD makes of a mode 01 answer's data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        obd = pytest.importorskip("obd", reason="python-OBD is not installed (extra obd)")
        from obd.protocols.protocol import Frame, Message
    commands = obd.commands.modes[1]

    def decoded(pid: int, data: bytes) -> Any:
        message = Message([Frame("")])
        message.data = bytearray(b"\x41" + bytes([pid]) + data)
        try:
            return commands[pid].decode([message]) if pid < len(commands) else None
        except IndexError:  # its decoder of PID 12, for a value that SAE J1979 reserves
            return None

    return decoded


def agreement(decode: Callable[[int, bytes], Any], pid: int, data: bytes) -> bool | None:
    """Whether both say the same of `data`; None where there is nothing to compare."""
    theirs = decode(pid, data)
    ours = raw_values({pid: data}, catalogue().by_pid[pid])
    if theirs is None:
        return None
    if pid in BY_HAND:
        named = {catalogue().by_id[signal_id].name: raw for signal_id, raw in ours.items()}
        return BY_HAND[pid](theirs).items() <= named.items()
    if not hasattr(theirs, "magnitude"):
        return None
    # Of several signals of one PID it gives the one in this unit.
    unit = UNITS.get(str(theirs.units), str(theirs.units))
    signals = [s for s in catalogue().by_pid[pid] if s.unit == unit and s.id in ours]
    if len(signals) != 1:
        return None
    return bool(signals[0].value(ours[signals[0].id]) == pytest.approx(float(theirs.magnitude), **TOLERANCE))


def listed(table: Mapping[str, tuple[int, ...]]) -> set[int]:
    return {pid for pids in table.values() for pid in pids}


def answers(pid: int, chance: random.Random) -> list[bytes]:
    size = catalogue().pid_bytes[pid]
    if size == 1:
        return [bytes([value]) for value in range(256)]
    edges = [bytes(size), b"\xff" * size, b"\x7f" + b"\xff" * (size - 1), b"\x80" + bytes(size - 1)]
    return edges + [chance.randbytes(size) for _ in range(DRAWS)]


def test_every_pid_agrees_or_is_listed_with_its_reason(decode: Callable[[int, bytes], Any]) -> None:
    chance = random.Random(1)
    agreed, differ, silent = set(), set(), set()
    for pid in sorted(catalogue().by_pid):
        verdicts = {agreement(decode, pid, data) for data in answers(pid, chance)}
        (differ if False in verdicts else agreed if True in verdicts else silent).add(pid)
    print(f"agree {len(agreed)}, differ {[f'{p:02X}' for p in sorted(differ)]}, not compared {len(silent)}")
    assert differ == listed(DIFFERENT)  # a new one, or one that has vanished
    assert silent == listed(NOT_COMPARED)
    assert len(agreed) > 55


def test_what_is_called_rounded_is_rounded_and_no_more(decode: Callable[[int, bytes], Any]) -> None:
    """Their step is ours to four digits or so: the difference is less than a thousandth of the value."""
    chance = random.Random(2)
    for pid in DIFFERENT["rounded resolution"]:
        for data in answers(pid, chance):
            theirs = decode(pid, data)
            unit = UNITS.get(str(theirs.units), str(theirs.units))
            signal = next(s for s in catalogue().by_pid[pid] if s.unit == unit)
            ours = signal.value(raw_values({pid: data}, [signal])[signal.id])
            assert ours == pytest.approx(float(theirs.magnitude), rel=1e-3, abs=5e-3), (pid, data.hex())


def test_the_page_lists_the_same() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    named: dict[str, set[int]] = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[1].replace(" ", "").replace(",", "").isalnum() and cells[1] != "PIDs":
            named[cells[0]] = {int(pid, 16) for pid in cells[1].split(",")}
    assert named == {reason: set(pids) for table in (DIFFERENT, NOT_COMPARED) for reason, pids in table.items()}


@pytest.mark.real_data
def test_real_answers_agree(decode: Callable[[int, bytes], Any]) -> None:
    path = require_data("elm327", "obdb-toyota-4runner", "responses_mode01.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    compared = 0
    for row in rows:
        pid = int(row["command_id"].removeprefix("7E0.01"), 16)
        (message,) = messages(row["response_hex"].split("|"), Bus("6"))
        if pid in listed(DIFFERENT) or pid not in catalogue().by_pid:
            continue
        verdict = agreement(decode, pid, message.data[2:])
        assert verdict is not False, row
        compared += verdict is True
    print(f"{compared} of {len(rows)} real answers compared")
    assert compared > 60
