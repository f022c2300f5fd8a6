"""python-OBD's values as raw integers; what is left out is what the page on the oracle lists; a port with deadlines."""

import os
from pathlib import Path
import pty
import re
import sys
import threading
import time
from types import SimpleNamespace

import pytest
import serial

from edge.sensors.obd.config import ObdConfig
from edge.sensors.python_obd.protocol_bounded import LINES, Line, serial_class_for_url
from edge.sensors.python_obd.sensor import PythonObdSensor
from edge.sensors.python_obd.values import LEFT_OUT, given_signals, raw_values_of
from sync_protocol.errors import ConfigError
from sync_protocol.signals import catalogue

PAGE = Path(__file__).parents[5] / "docs" / "obd-oracle.md"
CODES = SimpleNamespace(
    FUEL_STATUS=["open", "closed", "load"], AIR_STATUS=["a", "b"], OBD_COMPLIANCE=["", "x"], FUEL_TYPES=["", "Petrol"]
)


def quantity(magnitude: float, units: str) -> SimpleNamespace:
    return SimpleNamespace(magnitude=magnitude, units=units)


def test_quantities_by_their_unit() -> None:
    rpm, coolant = catalogue().by_name["engine_rpm"], catalogue().by_name["coolant_c"]
    assert raw_values_of(0x0C, quantity(2000.25, "revolutions_per_minute"), CODES) == {rpm.id: 8001}
    assert raw_values_of(0x05, quantity(-40, "degree_Celsius"), CODES) == {coolant.id: 0}
    assert given_signals(0x14, quantity(0.1, "volt")) == [catalogue().by_name["o2_b1s1_v"]]  # of two
    assert raw_values_of(0x0C, quantity(1, "furlong"), CODES) == {}
    assert raw_values_of(0x0C, None, CODES) == {}


def test_texts_by_hand() -> None:
    ids = {name: signal.id for name, signal in catalogue().by_name.items()}
    assert raw_values_of(0x01, SimpleNamespace(MIL=True, DTC_count=3), CODES) == {
        ids["is_mil_on"]: 1,
        ids["dtc_count"]: 3,
    }
    assert raw_values_of(0x03, ("closed", ""), CODES) == {ids["fuel_system_1"]: 2}
    assert raw_values_of(0x51, "Petrol", CODES) == {ids["fuel_type"]: 1}
    assert raw_values_of(0x1C, "Reserved", CODES) == {}
    with pytest.raises(ValueError):
        raw_values_of(0x51, "steam", CODES)


def test_what_is_decoded_differently_is_left_out() -> None:
    different = PAGE.read_text(encoding="utf-8").split("Nothing to compare:")[0]
    rows = re.findall(r"^\| [a-z ]+ \| ([0-9A-F, ]+) \|", different, re.MULTILINE)
    listed = {int(pid, 16) for row in rows for pid in row.split(",")}
    assert listed
    assert listed | {0x41} == LEFT_OUT.keys()
    assert all(given_signals(pid, quantity(1, "volt")) == [] for pid in LEFT_OUT)


def test_without_the_extra_the_configuration_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obd", None)
    with pytest.raises(ConfigError, match=r"pip install milepost\[obd\]"):
        PythonObdSensor(ObdConfig(sensor="python-obd"), lambda: 0)


def test_a_port_ends_at_its_deadline_and_when_it_is_told_to() -> None:

    master, slave = pty.openpty()

    line = Line(os.ttyname(slave), deadline_s=0.2, search_deadline_s=60.0)
    LINES["test"] = line
    try:
        port, make = serial_class_for_url("bounded://test")
        assert port == line.port
        made = make(None, timeout=10)
        made.port = port
        made.open()
        assert line.has_opened
        made.write(b"010C\r")
        with pytest.raises(serial.SerialException, match="deadline"):
            made.read(1)
        made.write(b"0100\r")  # the adapter may search
        os.write(master, b"S")
        assert made.read(1) == b"S"
        ending = threading.Timer(0.05, lambda: setattr(line, "is_ended", True))
        ending.start()
        begun_s = time.monotonic()
        with pytest.raises(serial.SerialException, match="ended"):
            made.read(1)
        assert time.monotonic() - begun_s < 30
        made.close()
    finally:
        del LINES["test"]
        os.close(master)
        os.close(slave)
