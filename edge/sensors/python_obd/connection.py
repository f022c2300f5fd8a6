"""python-OBD's connection to adapter and vehicle. Its methods block for a deadline at most: call them in a thread.

What python-OBD does not check is checked here, before it decodes: a refusal, an answer to another question and a
truncated one would be values to it (docs/obd-oracle.md).
"""

import contextlib
from importlib.util import find_spec
import logging
from typing import Any, NamedTuple

import serial

from edge.sensors.obd.adapter import BAUDS
from edge.sensors.obd.answer import Bus
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.errors import AdapterLost, BadAnswer, BusError
from edge.sensors.python_obd.protocol_bounded import LINES, Line
from edge.sensors.python_obd.values import LEFT_OUT, given_signals, raw_values_of
from sync_protocol.errors import ConfigError
from sync_protocol.signals import Signal, catalogue

_HANDLERS = "edge.sensors.python_obd"
# It stumbles over its own closed port, over a connection that ends between two lines, and over reserved values.
_DEFECTS = (AttributeError, TypeError, IndexError, KeyError, ValueError, serial.SerialException, OSError)


class Adapter(NamedTuple):
    """What was connected to. `signals` is empty when no vehicle answers."""

    identity: str
    protocol: str
    signals: list[Signal]
    left_out: list[int]


class Connection:
    """One connection after the other. Only `end` may be called from another thread than the others are."""

    def __init__(self, config: ObdConfig) -> None:
        """`ConfigError` when python-OBD is not installed."""
        if find_spec("obd") is None:
            raise ConfigError("$.obd.sensor: python-obd is not installed: pip install milepost[obd]")
        self._config = config
        self._obd: Any = None
        self._line: Line | None = None
        self._connection: Any = None
        self._commands: dict[int, tuple[Any, Any]] = {}
        self._is_ended = False

    def end(self) -> None:
        """Have whatever is under way, and all that comes, end at once."""
        self._is_ended = True
        if self._line is not None:
            self._line.is_ended = True

    def connect(self) -> Adapter:
        """Open the port and ask the vehicle. `AdapterLost` when no adapter answers."""
        obd = self._library()
        config = self._config
        bauds = (config.baud,) if config.baud else BAUDS[: 1 if "://" in config.port else None]
        for baud in bauds:
            line = self._line = Line(config.port, config.deadline_s, config.search_deadline_s)
            line.is_ended = self._is_ended
            name = f"{id(line):x}"
            LINES[name] = line
            try:
                self._connection = obd.OBD(f"bounded://{name}", baudrate=baud, fast=False, check_voltage=False)
            except _DEFECTS as err:
                raise AdapterLost(f"python-OBD: {err}") from err
            finally:
                del LINES[name]
            if self._connection.status() != obd.OBDStatus.NOT_CONNECTED:
                return self._adapter()
            if not line.has_opened or line.is_ended:
                raise AdapterLost(f"opening {config.port}: python-OBD could not")
        raise AdapterLost("no adapter answers python-OBD")

    def read(self, pid: int) -> dict[int, int]:
        """Raw integers by signal id. `BusError` for no answer, `BadAnswer` for a wrong one, `AdapterLost`."""
        raw_command, decoder = self._commands[pid]
        messages = self._query(raw_command).value
        if not messages:
            raise BusError("no_data", "python-OBD does not tell why")
        data = bytes(messages[0].data)
        if len(messages) != 1 or data[:2] != bytes([0x41, pid]) or len(data) != 2 + catalogue().pid_bytes[pid]:
            raise BadAnswer(f"not the answer to 01{pid:02X}: {data.hex()[:20]}")
        try:
            return raw_values_of(pid, decoder(messages), self._obd.codes)
        except _DEFECTS as err:
            raise BadAnswer(f"python-OBD cannot decode {data.hex()}: {err}") from err

    def voltage_v(self) -> float | None:
        """The voltage at the plug; None where the adapter cannot tell. Sends nothing to the vehicle."""
        value = self._query(self._obd.commands.ELM_VOLTAGE).value
        return None if value is None else float(value.magnitude)

    def close(self) -> None:
        """Give the port back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*_DEFECTS):
                connection.close()

    def _query(self, command: Any) -> Any:
        try:
            response = self._connection.query(command, force=True)
        except _DEFECTS as err:
            raise AdapterLost(f"python-OBD: {err}") from err
        if self._connection.status() == self._obd.OBDStatus.NOT_CONNECTED:
            raise AdapterLost("python-OBD has lost the adapter")
        return response

    def _adapter(self) -> Adapter:
        obd, connection = self._obd, self._connection
        is_there = connection.status() == obd.OBDStatus.CAR_CONNECTED
        supported = {c.pid for c in connection.supported_commands if c.mode == 1} & catalogue().by_pid.keys()
        signals: list[Signal] = []
        self._commands.clear()
        for pid in sorted(supported) if is_there else ():
            command = obd.commands[1][pid]
            given = given_signals(pid, self._example(pid, command))
            if given:
                self._commands[pid] = (_unchecked(obd, command), command.decode)
                signals += given
        identity = self._query(obd.commands.ELM_VERSION).value
        return Adapter(
            identity=str(identity or ""),
            protocol=Bus(str(connection.protocol_id())).name if is_there else "",
            signals=signals,
            left_out=sorted(supported & LEFT_OUT.keys()),
        )

    def _example(self, pid: int, command: Any) -> Any:
        """What it makes of an answer of zeros: that has a unit."""
        message = self._obd.protocols.protocol.Message([self._obd.protocols.protocol.Frame("")])
        message.data = bytearray([0x41, pid]) + bytes(catalogue().pid_bytes[pid])
        try:
            return command.decode([message])
        except _DEFECTS:
            return None

    def _library(self) -> Any:
        """Importing takes a second: here, in the thread."""
        if self._obd is None:
            import obd
            import obd.codes
            import obd.protocols.protocol

            log = logging.getLogger("obd")  # it prints what it tries on stderr
            log.handlers[:] = [logging.NullHandler()]
            log.propagate = False
            if _HANDLERS not in serial.protocol_handler_packages:
                serial.protocol_handler_packages.append(_HANDLERS)
            self._obd = obd
        return self._obd


def _unchecked(obd: Any, command: Any) -> Any:
    """The same command, whose value are the messages: neither padded nor cut to a length, nor decoded."""
    return obd.OBDCommand(command.name, command.desc, command.command, 0, _as_it_is, command.ecu, False)


def _as_it_is(messages: Any) -> Any:
    return messages
