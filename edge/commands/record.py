"""`milepost record`: write down what bus and GPS really said, for a bug report or a test."""

from pathlib import Path
import time

import click

from edge.commands.loading import load
from edge.control import ask


@click.command("record")
@click.argument("action", type=click.Choice(["start", "stop", "for"]))
@click.argument("value", required=False)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="With `for`.")
@click.option("--rows-only", is_flag=True, help="Only what the sensors gave, not the bytes; nothing connects anew.")
@click.pass_obj
def command(path: Path | None, action: str, value: str | None, seconds: float, rows_only: bool) -> None:
    """`start FILE`, `stop`, or `for FILE`: write what adapter and gpsd say to FILE (.jsonl or .jsonl.gz).

    Every byte with its time, and the samples, events and frames it led to, so that `milepost replay FILE --check` can
    repeat it. Adapter and gpsd are connected anew as it begins, which costs a second or two of samples.
    """
    socket_path = load(path).socket_path
    if action == "stop":
        click.echo(f"{ask(socket_path, 'record_stop')} lines recorded")
        return
    if value is None:
        raise click.UsageError(f"`record {action}` needs a FILE")
    target = Path(value).absolute()
    click.echo(f"recording to {ask(socket_path, 'record_start', path=str(target), rows_only=rows_only)}")
    if action == "for":
        try:
            time.sleep(seconds)
        finally:
            click.echo(f"{ask(socket_path, 'record_stop')} lines recorded")
