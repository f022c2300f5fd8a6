"""`milepost run`: the agent itself, as systemd starts it."""

import asyncio
import os
from pathlib import Path
import signal

import click

from edge.commands.loading import load
from edge.config import DeviceConfig
from sync_protocol.errors import MilepostError


@click.command("run")
@click.pass_obj
def command(path: Path | None) -> None:
    """Run the agent until SIGTERM or Ctrl-C; everything measured is then committed."""
    run_agent(load(path))


def run_agent(config: DeviceConfig) -> None:
    """Run the agent in this process until a signal ends it."""
    from edge.app import Agent, stop_on
    from edge.clock import SystemClock
    from edge.logs import set_up
    from edge.notify import SystemdNotifier

    set_up(config.log)

    async def work() -> None:
        stop = asyncio.Event()
        stop_on(stop, (signal.SIGTERM, signal.SIGINT), asyncio.get_running_loop())
        await Agent(config, SystemClock(), SystemdNotifier(os.environ)).run(stop)

    try:
        asyncio.run(work())
    except ExceptionGroup as group:
        # A stage that failed, out of its task group; with a bug among them the trace says more than a line.
        ours, bugs = group.split(MilepostError)
        if bugs is not None or ours is None:
            raise
        raise _first(ours) from None


def _first(group: ExceptionGroup[MilepostError]) -> MilepostError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
