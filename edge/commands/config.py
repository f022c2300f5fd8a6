"""`milepost config check`: is the configuration right, and what does it come to?"""

from pathlib import Path

import click

from edge.commands.loading import load
from edge.commands.output import print_json


@click.group("config")
def command() -> None:
    """Look at the configuration."""


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print the configuration in force, as JSON.")
@click.pass_obj
def check(path: Path | None, as_json: bool) -> None:
    """Load the configuration as the agent would. Exit code 78 when it is wrong; the output says where."""
    config = load(path)
    if as_json:
        print_json(config)
    else:
        click.echo(f"configuration is good: {config.tenant} / {config.device}, uplink {config.uplink.url}")
