"""`milepost-cloud doctor`: is this deployment set up as it should be?"""

from datetime import UTC, datetime
import json
import sys
from typing import TYPE_CHECKING

import click
import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cloud.ops.doctor import examine
from cloud.ops.finding import Finding

if TYPE_CHECKING:
    from cloud.cli import Settings

BAD_NEWS = 1
WIDTH = 80
_SIGNS = {"good": "[green]✔[/]", "warning": "[yellow]![/]", "bad": "[red]✘[/]", "skipped": "[dim]-[/]"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def doctor(settings: "Settings", as_json: bool) -> None:
    """Check a deployment: identity, certificates, secrets, database, broker, disk, clock, mail. Changes nothing.

    Exit code 1 when something is bad; warnings alone leave it at 0.
    """
    findings = examine(settings.load(), datetime.now(UTC))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(findings)))
    else:
        Console(width=WIDTH, highlight=False).print(_table(findings))
    if any(finding.verdict == "bad" for finding in findings):
        sys.exit(BAD_NEWS)


def _table(findings: list[Finding]) -> Table:
    made = Table("", "what", "found", box=box.SIMPLE_HEAD, pad_edge=False, width=WIDTH)
    made.columns[2].overflow = "fold"
    for finding in findings:
        found = escape(finding.found)
        if finding.cure:
            found += f"\n[cyan]{escape(finding.cure)}[/]"
        made.add_row(_SIGNS[finding.verdict], escape(finding.subject), found)
    return made
