"""`milepost doctor`: why is this vehicle silent?"""

from pathlib import Path

import click
import msgspec
from rich.markup import escape

from edge.commands.loading import load
from edge.commands.output import console, print_json
from edge.control import ask
from edge.diagnosis import diagnose
from edge.status import AgentStatus
from sync_protocol.errors import Unavailable

_SIGNS = {"good": "[green]✔[/]", "warning": "[yellow]![/]", "bad": "[red]✘[/]", "skipped": "[dim]-[/]"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Check every link from the adapter to the acknowledged frame. Exit code 1 when one is broken."""
    path: Path | None = ctx.obj
    config = load(path)
    try:
        status = msgspec.convert(ask(config.socket_path, "status"), AgentStatus)
    except Unavailable:
        status = None
    findings = diagnose(config, status)
    if as_json:
        print_json(findings)
    else:
        out = console()
        for finding in findings:
            found = escape(finding.found)  # it may speak of [obd] port
            out.print(f"{_SIGNS[finding.verdict]} [bold]{finding.link}[/]: {found}", soft_wrap=True)
            if finding.cure and finding.verdict != "good":
                out.print(f"    {escape(finding.cure)}", style="cyan", soft_wrap=True)
    if any(finding.verdict == "bad" for finding in findings):
        ctx.exit(1)
