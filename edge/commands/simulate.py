"""`milepost simulate`: vehicles to develop, demonstrate and test with."""

import asyncio
from pathlib import Path
import signal
import sys

import click
from rich import box
from rich.console import Console
from rich.table import Table

from edge.simulator.control import COMMANDS, Control
from edge.simulator.elm327 import INSTANT, Latency
from edge.simulator.faults import parse_fault
from edge.simulator.kinds import KINDS
from edge.simulator.route import route_names
from edge.simulator.simulation import Rig, Simulation, SimulationConfig, check
from sync_protocol.errors import Invalid, NotFound


@click.command("simulate", epilog=f"Control lines at DIR/control.sock: VEHICLE (or all) and one of: {COMMANDS}.")
@click.option("--vehicles", "-n", default=3, show_default=True, type=click.IntRange(1, 500), help="How many.")
@click.option("--kinds", default=",".join(KINDS), show_default=True, help="Kinds to take in turn.")
@click.option("--routes", default="", help=f"Routes to take in turn [default: {','.join(route_names())}].")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same vehicles and trips.")
@click.option("--speed-factor", default=1.0, show_default=True, help="How many times as fast as real time.")
@click.option("--dir", "directory", default="build/simulator", show_default=True, type=click.Path(path_type=Path),
              help="Where each vehicle gets a folder with its `obd` port and `simulator.json`.")  # fmt: skip
@click.option("--fault", "faults", multiple=True, metavar="[VEHICLE:]FAULT[@SECONDS]",
              help="misfire, thermostat, alternator, o2 or dtc=CODE; repeatable.")  # fmt: skip
@click.option("--gpsd-port", default=0, help="gpsd port of the first vehicle, the others follow [default: free ones].")
@click.option("--cold-start", "cold_start_s", default=4.0, show_default=True, help="Seconds until the first fix.")
@click.option("--head-start/--no-head-start", "has_head_start", default=True, show_default=True,
              help="All but the first vehicle are already on the road.")  # fmt: skip
@click.option("--instant", is_flag=True, help="Adapters answer at once instead of as slowly as real ones.")
@click.option("--quiet", "-q", is_flag=True, help="Print no table.")
def command(
    vehicles: int, kinds: str, routes: str, seed: int, speed_factor: float, directory: Path, faults: tuple[str, ...],
    gpsd_port: int, cold_start_s: float, has_head_start: bool, instant: bool, quiet: bool,
) -> None:  # fmt: skip
    """Run simulated vehicles on real roads until interrupted.

    Each is seen through an ELM327 on a pseudo-terminal and through gpsd's protocol on a TCP port, so that an
    unmodified device can be put in it: DIR/NAME/simulator.json has what its configuration needs.
    """
    try:
        config = SimulationConfig(
            directory=directory, vehicles=vehicles, kinds=_names(kinds), routes=_names(routes), seed=seed,
            speed_factor=speed_factor, faults=tuple(parse_fault(text) for text in faults), gpsd_port=gpsd_port,
            latency=INSTANT if instant else Latency(), cold_start_s=cold_start_s, has_head_start=has_head_start,
        )  # fmt: skip
        check(config)
        simulation = Simulation(config)
    except (Invalid, NotFound) as problem:
        raise click.UsageError(str(problem)) from problem
    asyncio.run(_run(simulation, quiet))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


async def _run(simulation: Simulation, quiet: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with simulation:
        control = Control(simulation, simulation.config.directory / "control.sock")
        await control.start()
        if not quiet:
            Console(width=None if sys.stdout.isatty() else 100).print(_table(simulation))
        await stop.wait()
        await control.stop()


def _table(simulation: Simulation) -> Table:
    directory = simulation.config.directory
    table = Table(
        title=f"{len(simulation.rigs)} simulated vehicles in {directory}",
        caption="Adapter: NAME/obd. All about one: NAME/simulator.json. Ctrl-C ends them.",
        box=box.SIMPLE_HEAD,
    )
    for heading in ("vehicle", "model", "plate", "VIN", "route", "gpsd"):
        table.add_column(heading, no_wrap=True)
    if any(_faults(rig) for rig in simulation.rigs):
        table.add_column("faults")
    for rig in simulation.rigs:
        vehicle = rig.vehicle
        model = f"{vehicle.kind.make} {vehicle.kind.model}"
        cells = (rig.name, model, vehicle.plate, vehicle.vin, vehicle.route.name, str(rig.gpsd.port))
        table.add_row(*cells, *([_faults(rig)] if len(table.columns) > len(cells) else []))
    return table


def _faults(rig: Rig) -> str:
    return ", ".join(sorted(rig.vehicle.faults | rig.vehicle.coming_faults))
