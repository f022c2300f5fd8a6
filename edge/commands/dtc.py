"""`milepost dtc`: the trouble codes, read now."""

from pathlib import Path

import click

from edge.commands.loading import load
from edge.commands.output import console, print_json, table
from edge.control import ask


@click.command("dtc")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Read stored and pending trouble codes through the running agent. Exit code 1 when a list could not be read."""
    path: Path | None = ctx.obj
    report = ask(load(path).socket_path, "dtc")
    if as_json:
        print_json(report)
    else:
        out = console()
        if report["codes"]:
            found = table("code", "status", "computer")
            for dtc in report["codes"]:
                found.add_row(f"[bold]{dtc['code']}[/]", dtc["status"], str(dtc["ecu"]))
            out.print(found)
        for status, reason in report["unread"].items():
            out.print(f"[red]{status} codes could not be read:[/] {reason}")
        if not report["codes"] and not report["unread"]:
            out.print("[green]No trouble codes.[/]")
    if report["unread"]:
        ctx.exit(1)
