"""Live control of a running simulation, one line a command, on a Unix socket and on a piped standard input.

van-01 fault misfire | repair misfire | park | drive | unplug | plug | mute | unmute | sky off | sky on | state
"""

import asyncio
import contextlib
import os
from pathlib import Path
import stat
import sys

from edge.simulator.faults import known, parse_fault
from edge.simulator.simulation import Rig, Simulation
from sync_protocol.errors import Invalid, MilepostError

COMMANDS = "fault FAULT, repair FAULT, park, drive, unplug, plug, mute, unmute, sky on, sky off, state"


def execute(simulation: Simulation, line: str) -> str:
    """Carry out one line; returns what to print. Raises Invalid or NotFound, which say what was expected."""
    words = line.split()
    if not words:
        return ""
    rigs = simulation.rigs if words[0] == "all" else [simulation.rig(words[0])]
    return "\n".join(_execute(simulation, rig, words[1:]) for rig in rigs)


def _execute(simulation: Simulation, rig: Rig, words: list[str]) -> str:
    rig.advance()
    vehicle, port = rig.vehicle, rig.port
    match words:
        case ["fault", fault]:
            simulation.break_(parse_fault(f"{rig.name}:{fault}"))
        case ["repair", fault] if fault in vehicle.faults:
            vehicle.repair(fault)
        case ["repair", fault]:
            raise Invalid(f"{rig.name} has no fault {fault!r}; there are {known()}")
        case ["park"]:
            vehicle.driver.park()
        case ["drive"]:
            vehicle.driver.resume()
        case ["unplug"]:
            port.close()
        case ["plug"]:
            if not port.is_open:
                port.open()
        case ["mute"] | ["unmute"]:
            port.is_silent = words[0] == "mute"
        case ["sky", ("on" | "off") as sky]:
            rig.receiver.is_covered = sky == "off"
        case ["state"]:
            pass
        case _:
            raise Invalid(f"{' '.join(words)!r}: expected {COMMANDS}")
    return state(rig)


def state(rig: Rig) -> str:
    """One line about a vehicle."""
    vehicle = rig.vehicle
    engine = vehicle.powertrain.state
    broken = ",".join(sorted(vehicle.faults)) or "-"
    return (
        f"{rig.name} {vehicle.driver.phase} {vehicle.speed_ms * 3.6:.0f} km/h {engine.rpm:.0f} rpm "
        f"{vehicle.temperatures.coolant_c:.0f} C {vehicle.electrics.volts:.1f} V "
        f"codes {','.join(vehicle.troubles.stored) or '-'} faults {broken}"
    )


class Control:
    """Serves `execute` at a Unix socket, and on standard input when that is a pipe."""

    def __init__(self, simulation: Simulation, socket_path: Path) -> None:
        self._simulation = simulation
        self._path = socket_path
        self._server: asyncio.Server | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._path)
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            self._reading = asyncio.create_task(self._read_input(), name="control lines")

    async def stop(self) -> None:
        """Listen no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    def _answer(self, line: bytes) -> bytes:
        try:
            return execute(self._simulation, line.decode("utf-8", "replace")).encode() + b"\n"
        except MilepostError as problem:
            return f"error: {problem}\n".encode()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while line := await reader.readline():
                writer.write(self._answer(line))
                await writer.drain()
        writer.close()

    async def _read_input(self) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            sys.stderr.write(self._answer(line).decode())
