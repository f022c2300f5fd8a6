"""`milepost dtc`: trouble codes, readiness and identity of the vehicle, read now; and clearing the codes."""

from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console

from edge.commands import dtc_view
from edge.commands.loading import load
from edge.commands.output import console, print_json
from edge.control import ask
from edge.sensors.obd.report import ClearReport, CodesReport, IdentityReport, ReadinessReport

T = TypeVar("T")

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("dtc", invoke_without_command=True)
@_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Trouble codes with their meaning, lamp and freeze frames, read through the running agent.

    A vehicle that sleeps is not woken. Exit code 1 when it sleeps or something could not be read.
    """
    if ctx.invoked_subcommand is None:
        report = _asked(ctx, "dtc", CodesReport, as_json)
        if not as_json:
            dtc_view.codes(console(), report)
        if report.unread:
            ctx.exit(1)
    elif as_json:
        raise click.UsageError("--json goes behind the subcommand")


@command.command()
@_json
@click.pass_context
def readiness(ctx: click.Context, as_json: bool) -> None:
    """Self-tests of each computer: complete since codes were cleared, and in this drive cycle."""
    report = _asked(ctx, "dtc_readiness", ReadinessReport, as_json)
    if not as_json:
        dtc_view.readiness(console(), report)


@command.command()
@_json
@click.pass_context
def vehicle(ctx: click.Context, as_json: bool) -> None:
    """VIN; name, calibrations, their checksums (CVN) and in-use counters of each computer."""
    report = _asked(ctx, "dtc_vehicle", IdentityReport, as_json)
    if not as_json:
        dtc_view.identity(console(), report)
    if report.unread:
        ctx.exit(1)


@command.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
@click.pass_context
def clear(ctx: click.Context, yes: bool, as_json: bool) -> None:
    """Clear the trouble codes. Refused while the engine runs; exit code 1 unless a second reading shows no code."""
    if not yes:
        if as_json:
            raise click.UsageError("--json needs --yes: there is nobody to ask")
        _confirm(ctx)
    report = _asked(ctx, "dtc_clear", ClearReport, as_json, source="cli")
    if not as_json:
        dtc_view.clearing(console(), report)
    if report.result != "cleared":
        ctx.exit(1)


def _confirm(ctx: click.Context) -> None:
    out = console()
    report = _asked(ctx, "dtc", CodesReport, as_json=False)
    dtc_view.codes(out, report)
    frames = len(report.freeze_frames)
    out.print("[bold]Clearing loses for good:[/]")
    out.print(f"  the stored and pending codes, and {frames} freeze frame{'' if frames == 1 else 's'} with them;")
    out.print("  the readiness of all self-tests: they take days of driving to come back, and until then")
    out.print("  the vehicle fails an emissions inspection;")
    out.print("  distance, time and warm-ups since the last clearing.")
    out.print("Permanent codes stay: only the vehicle itself ends them. A fault that is there sets its code again.")
    click.confirm("Clear the codes?", abort=True)


def _asked(ctx: click.Context, op: str, kind: type[T], as_json: bool, **args: Any) -> T:
    """The report; says why and ends with exit code 1 when the vehicle was not reached."""
    path: Path | None = ctx.obj
    raw = ask(load(path).socket_path, op, **args)
    if as_json:
        print_json(raw)
    if "unreached" in raw:
        if not as_json:
            _say_unreached(console(), raw["unreached"], raw["is_asleep"])
        ctx.exit(1)
    return msgspec.convert(raw, kind)


def _say_unreached(out: Console, reason: str, is_asleep: bool) -> None:
    out.print(f"[yellow]{reason}[/]")
    if is_asleep:
        out.print("It was left to sleep, nothing was sent. Switch the ignition on, wait a minute and ask again.")
    else:
        out.print("`milepost doctor` says what is wrong.")
