"""Values a second from a vehicle: our sensor and transport beside python-OBD, on adapters as slow as real ones.

The adapter is our simulator's on a pty, in a process of its own; its latencies are those of a model, not of a real one.
`--seconds 4`: how long each way of asking is measured.
"""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any

import msgspec

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import Port
from edge.sensors.obd.schedule import batches
from edge.sensors.obd.sensor import ObdSensor
from edge.sensors.obd.vehicle import MAX_PIDS, Vehicle
from edge.simulator.elm327 import Latency
from edge.simulator.simulation import Simulation, SimulationConfig
from sync_protocol.signals import catalogue
from tests.bench.report import Figure, report
from tests.support.elm_fakes import CollectingSink, boot_ms

PIDS = (0x0C, 0x0D, 0x05, 0x11, 0x0F, 0x04)
ADAPTERS = {
    "model": Latency(search_s=0.2),  # 25 ms computer, 60 ms wait, 38400 baud
    "fast": Latency(ecu_s=0.010, wait_s=0.020, command_s=0.001, search_s=0.2, baud=115_200),  # an OBDLink at its best
    "clone": Latency(ecu_s=0.040, wait_s=0.120, command_s=0.020, search_s=0.2, baud=38_400),  # Bluetooth clone
}


async def serve(directory: Path, latency: Latency) -> None:
    """One vehicle on the road, until the process is ended."""
    config = SimulationConfig(directory=directory, vehicles=1, kinds=("compact",), latency=latency)
    async with Simulation(config) as simulation:
        simulation.rigs[0].offset_s = 300
        print(simulation.rigs[0].port.link, flush=True)
        await asyncio.Event().wait()


@contextmanager
def adapter(name: str) -> Iterator[str]:
    """The port of an adapter of that kind."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.obd", "--serve", name, "--directory", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.wait(5)
            process.stdout.close()


async def transport(port_name: str, seconds: float, *, size: int, may_foretell: bool) -> float:
    """Values a second when `size` PIDs go into each request, one request after the other."""
    port = await Port.open(port_name, 38_400, 5)
    try:
        elm = await Elm.start(port, 2, 12)
        memory = Memory(has_frame_count=None if may_foretell else False, has_multi_pid=True)
        vehicle = await Vehicle.find(elm, memory, may_search=True)
        asked = batches(PIDS, vehicle.owner, size)
        for batch in asked * 4:  # as often as it takes to foretell the frames
            await vehicle.read(batch)
        values, begun_s = 0, time.perf_counter()
        while time.perf_counter() - begun_s < seconds:
            for batch in asked:
                values += len(await vehicle.read(batch))
        return values / (time.perf_counter() - begun_s)
    finally:
        await port.close()


async def whole_sensor(port_name: str, seconds: float) -> float:
    """Values a second in the rows of the sensor, with all it does beside, all wanted ten times a second."""
    often = {signal.name: 0.1 for signal in catalogue().signals}
    sink = CollectingSink()
    task = asyncio.create_task(
        ObdSensor(ObdConfig(port=port_name, baud=38_400, periods_s=often, profile="none"), boot_ms).run(sink)
    )
    try:
        async with asyncio.timeout(30):
            while len(sink.rows) < 10:
                await asyncio.sleep(0.05)
        sink.rows.clear()
        begun_s = time.perf_counter()
        await asyncio.sleep(seconds)
        return sum(len(values) for _, _, values in sink.rows) / (time.perf_counter() - begun_s)
    finally:
        task.cancel()
        await asyncio.wait([task])


def python_obd(port_name: str, seconds: float, *, fast: bool) -> float:
    """Values a second of python-OBD asked for the same PIDs."""
    import obd

    connection: Any = obd.OBD(port_name, baudrate=38_400, protocol="6", fast=fast)
    commands = [obd.commands[1][pid] for pid in PIDS]
    try:
        values, begun_s = 0, time.perf_counter()
        while time.perf_counter() - begun_s < seconds:
            values += sum(not connection.query(command, force=True).is_null() for command in commands)
        return values / (time.perf_counter() - begun_s)
    finally:
        connection.close()


def measured(name: str, seconds: float) -> list[Figure]:
    """All ways of asking through one adapter, in the same run."""
    theirs = {}
    for fast in (False, True):
        with adapter(name) as port:
            theirs[fast] = python_obd(port, seconds, fast=fast)
    ours = {}
    for size, may_foretell in ((1, False), (1, True), (MAX_PIDS, False), (MAX_PIDS, True)):
        with adapter(name) as port:
            ours[size, may_foretell] = asyncio.run(transport(port, seconds, size=size, may_foretell=may_foretell))
    with adapter(name) as port:
        sensor = asyncio.run(whole_sensor(port, seconds))
    is_model = name == "model"
    best = ours[MAX_PIDS, True]
    prefix = "" if is_model else f"{name}: "
    return [
        Figure(f"{prefix}values_per_s", best, "1/s", "100" if is_model else "", "6 PIDs a request, frames foretold"),
        Figure(f"{prefix}  without foretelling", ours[MAX_PIDS, False], "1/s"),
        Figure(f"{prefix}  one PID, foretold", ours[1, True], "1/s"),
        Figure(f"{prefix}  one PID", ours[1, False], "1/s"),
        Figure(f"{prefix}whole sensor", sensor, "1/s", "", "all signals wanted 10 times a second, codes and voltage"),
        Figure(f"{prefix}python_obd_values_per_s", theirs[False], "1/s", "9" if is_model else "", "fast=False"),
        Figure(f"{prefix}  python-OBD fast", theirs[True], "1/s", "26" if is_model else "", "fast=True"),
        Figure(f"{prefix}ours / python-OBD fast", best / theirs[True], "x"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--serve", choices=ADAPTERS)
    parser.add_argument("--directory", type=Path)
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve(args.directory, ADAPTERS[args.serve]))
        return
    figures = [figure for name in ADAPTERS for figure in measured(name, args.seconds)]
    report("obd", figures, {name: msgspec.to_builtins(latency) for name, latency in ADAPTERS.items()})


if __name__ == "__main__":
    main()
