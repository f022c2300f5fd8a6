"""`milepost run`: the agent itself, as systemd starts it."""

import asyncio
import os
from pathlib import Path
import signal

import click

from edge.commands.loading import load
from edge.config import DeviceConfig


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

    asyncio.run(work())
