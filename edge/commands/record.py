"""`milepost record`: write down what bus and GPS really said, for a bug report or a test."""

from pathlib import Path
import time

import click

from edge.commands.loading import load
from edge.control import ask


@click.command("record")
@click.argument("action", type=click.Choice(["start", "stop", "for", "redact"]))
@click.argument("value", metavar="[FILE]", required=False)
@click.argument("target", metavar="[OUT]", required=False)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="With `for`.")
@click.option("--rows-only", is_flag=True, help="Only what the sensors gave, not the bytes; nothing connects anew.")
@click.option("--redact", "is_redacted", is_flag=True, help="With `for`: keep the redacted recording only.")
@click.option("--no-position", is_flag=True, help="Redacting: leave GPS out, instead of moving the drive elsewhere.")
@click.option("--shift-days", type=int, default=0, help="Redacting: move all dates by so many days.")
@click.option("--no-calibrations", is_flag=True, help="Redacting: also hide calibration ids and their numbers.")
@click.pass_obj
def command(
    path: Path | None, action: str, value: str | None, target: str | None, seconds: float, rows_only: bool,
    is_redacted: bool, no_position: bool, shift_days: int, no_calibrations: bool,
) -> None:  # fmt: skip
    """`start FILE`, `stop`, or `for FILE`: write what adapter and gpsd say to FILE (.jsonl or .jsonl.gz).

    Every byte with its time, and the samples, events and frames it led to, so that `milepost replay FILE --check` can
    repeat it. Adapter and gpsd are connected anew as it begins, which costs a second or two of samples.

    `redact FILE OUT` needs no agent: OUT has neither the vehicle's number nor the place, and still replays the same.
    """
    if action == "redact":
        if value is None or target is None:
            raise click.UsageError("`record redact` needs a FILE and OUT")
        _redact(Path(value), Path(target), no_position, shift_days, no_calibrations)
        return
    if is_redacted and action != "for":
        raise click.UsageError("`--redact` goes with `for`; after `start` and `stop` use `record redact FILE OUT`")
    socket_path = load(path).socket_path
    if action == "stop":
        click.echo(f"{ask(socket_path, 'record_stop')} lines recorded")
        return
    if value is None:
        raise click.UsageError(f"`record {action}` needs a FILE")
    file = Path(value).absolute()
    written = file.with_name("raw-" + file.name) if is_redacted else file
    click.echo(f"recording to {ask(socket_path, 'record_start', path=str(written), rows_only=rows_only)}")
    if action == "start":
        return
    try:
        time.sleep(seconds)
    finally:
        click.echo(f"{ask(socket_path, 'record_stop')} lines recorded")
    if is_redacted:
        _redact(written, file, no_position, shift_days, no_calibrations)
        written.unlink()


def _redact(source: Path, target: Path, no_position: bool, shift_days: int, no_calibrations: bool) -> None:
    from edge.replay.redaction import Redaction, redact

    redaction = Redaction(not no_position, shift_days, not no_calibrations)
    redact(source, target, redaction)
    click.echo(f"redacted into {target}")
