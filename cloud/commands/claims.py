"""`milepost-cloud claim make`: codes for devices, one by one or as a sheet."""

import asyncio
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cloud.enrolment.payloads import NewClaims
from cloud.ops.control import ClaimOrder, ControlClient
from cloud.ops.logs import configure_logs
from sync_protocol.enrolment import write_code
from sync_protocol.errors import Conflict

if TYPE_CHECKING:
    from cloud.cli import Settings


@click.group()
def claim() -> None:
    """Codes that let devices in, each one of them once."""


@claim.command()
@click.option("--tenant", required=True, help="Whose devices they will be.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 1000))
@click.option("--days", default=14, show_default=True, type=click.IntRange(1, 90), help="How long they are good.")
@click.option("--vehicle", type=int, help="Number of the vehicle whose device the new one replaces.")
@click.option("--csv", "sheet", type=click.Path(dir_okay=False, path_type=Path), help="Write them to this new file.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def make(
    settings: "Settings", tenant: str, count: int, days: int, vehicle: int | None, sheet: Path | None, as_json: bool
) -> None:
    """Make claim codes. They are shown now and never again."""
    from cloud.app import Cloud

    config = settings.load()
    configure_logs("warning")
    if sheet is not None and sheet.exists():
        raise Conflict(f"{sheet}: there is such a file already")
    order = ClaimOrder(tenant, count, days, vehicle)
    client = ControlClient(config.data_dir)
    if client.is_running():
        made = client.ask("POST", "/claims", NewClaims, order)
    else:
        cloud = Cloud(config)
        try:
            cloud.open_stores()
            made = asyncio.run(cloud.make_claims(order))
        finally:
            cloud.close()
    if sheet is not None:
        _write_sheet(sheet, made)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(made)))
    elif sheet is not None:
        click.echo(f"{len(made.items)} claim codes in {sheet}: whoever reads it may bring in a device")
    else:
        for one in made.items:
            click.echo(f"{write_code(one.code)}  until {one.expires:%Y-%m-%d %H:%M} UTC")
            click.echo(f"  milepost enroll '{one.payload}'")


def _write_sheet(path: Path, made: NewClaims) -> None:
    """A CSV with a row a code, readable by this user only."""
    path.touch(mode=0o600, exist_ok=False)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["code", "expires", "vehicle_id", "payload"])
        rows.writerows(
            [write_code(one.code), one.expires.isoformat(), one.vehicle_id, one.payload] for one in made.items
        )
