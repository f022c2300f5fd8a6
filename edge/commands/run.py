"""`milepost run`: the agent itself, as systemd starts it."""

import asyncio
import os
from pathlib import Path
import signal

import click

from edge.commands.loading import load


@click.command("run")
@click.pass_obj
def command(path: Path | None) -> None:
    """Run the agent until SIGTERM or Ctrl-C; everything measured is then committed."""
    from edge.app import Agent, stop_on
    from edge.clock import SystemClock
    from edge.logs import set_up
    from edge.notify import SystemdNotifier

    config = load(path)
    set_up(config.log)

    async def work() -> None:
        stop = asyncio.Event()
        stop_on(stop, (signal.SIGTERM, signal.SIGINT), asyncio.get_running_loop())
        await Agent(config, SystemClock(), SystemdNotifier(os.environ)).run(stop)

    asyncio.run(work())
