"""`milepost record`: write down what the sensors give, for a bug report or a test."""

from pathlib import Path
import time

import click

from edge.commands.loading import load
from edge.control import ask


@click.command("record")
@click.argument("action", type=click.Choice(["start", "stop", "for"]))
@click.argument("value", required=False)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="With `for`.")
@click.pass_obj
def command(path: Path | None, action: str, value: str | None, seconds: float) -> None:
    """`start FILE`, `stop`, or `for FILE`: the agent writes what its sensors give to FILE (.jsonl or .jsonl.gz)."""
    socket_path = load(path).socket_path
    if action == "stop":
        click.echo(f"{ask(socket_path, 'record_stop')} lines recorded")
        return
    if value is None:
        raise click.UsageError(f"`record {action}` needs a FILE")
    target = Path(value).absolute()
    click.echo(f"recording to {ask(socket_path, 'record_start', path=str(target))}")
    if action == "for":
        try:
            time.sleep(seconds)
        finally:
            click.echo(f"{ask(socket_path, 'record_stop')} lines recorded")
