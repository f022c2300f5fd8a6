"""`milepost-cloud init`, `certificate` and `broker`: the identity of a deployment."""

from collections.abc import Sequence
from datetime import UTC, datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Table

from cloud.deployment import IDENTITY
from cloud.enrolment import keyring
from cloud.enrolment.broker_identity import server_lines
from cloud.enrolment.certificates import ends

if TYPE_CHECKING:
    from cloud.cli import Settings

_KEPT = (
    ("offline/", "operator, accounts, authority (private)", "In a safe, and off this machine: new certificates only"),
    ("*-signing.seed", "signs tokens of devices and service", "Here, and in the backup. A thief lets devices in"),
    ("commands-1.seed", "signs commands to devices", "Here, and in the backup. Its twin is in offline/"),
    ("server.key", "TLS of broker and API", "Here; replaced by `milepost-cloud certificate`"),
    ("people.key", "signs log-ins of people", "Here; made at the first start, without it all log in again"),
    ("ca.pem", "the authority (public)", "Give it to whoever opens the web app by a browser"),
    ("keyring.json", "names and public keys", "Here, and in the backup"),
)


@click.command()
@click.option(
    "--host", "hosts", multiple=True, default=["localhost"], show_default=True,
    help="Name or address of the service; may be repeated. Devices are told the first.",
)  # fmt: skip
@click.pass_obj
def init(settings: "Settings", hosts: Sequence[str]) -> None:
    """Make the identity of a deployment: keys, accounts of the broker, an authority, a certificate. Once."""
    config = settings.load()
    folder = config.data_dir / IDENTITY
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    facts = keyring.make(folder, hosts, datetime.now(UTC))
    out = Console(width=80, highlight=False)
    out.print(f"An identity for {', '.join(facts.hosts)} in {folder}", soft_wrap=True)
    out.print(f"Fingerprint of its authority:\n{keyring.load(folder).authority_sha256}")
    out.print(_certificate_line(folder))
    out.print(_kept_table())
    out.print("Next: milepost-cloud tenant add NAME, user add EMAIL --tenant NAME, serve")


@click.command()
@click.option("--host", "hosts", multiple=True, help="Instead of the names it has; may be repeated.")
@click.option("--ca-key", type=click.Path(path_type=Path), help="The authority's key, when offline/ is elsewhere.")
@click.pass_obj
def certificate(settings: "Settings", ca_key: Path | None, hosts: Sequence[str]) -> None:
    """Make a new certificate for broker and API, of the same authority; in force from the next start."""
    folder = settings.load().data_dir / IDENTITY
    key = ca_key or folder / keyring.OFFLINE / keyring.AUTHORITY_KEY
    facts = keyring.renew_server(folder, key, hosts, datetime.now(UTC))
    click.echo(f"A new certificate for {', '.join(facts.hosts)}")
    click.echo(_certificate_line(folder))


@click.command()
@click.option("--dir", "folder", default="/var/lib/nats", show_default=True, type=click.Path(path_type=Path))
@click.pass_obj
def broker(settings: "Settings", folder: Path) -> None:
    """Print the configuration of a nats-server that runs by itself, for this identity; $.nats.url then says where.

    It needs server.pem and server.key of the identity under the names it says, and keeps its files in --dir.
    """
    config = settings.load()
    ring = keyring.load(config.data_dir / IDENTITY)
    for line in (
        "port: 4222",
        "max_connections: 200000",
        'write_deadline: "10s"',
        f"jetstream {{ store_dir: {json.dumps(str(folder / 'jetstream'))} }}",
        *server_lines(ring, folder, {}),
    ):
        click.echo(line)


def _kept_table() -> Table:
    """What to keep where."""
    made = Table("file", "what it is", "keep it", box=box.SIMPLE_HEAD, pad_edge=False, width=80)
    for row in _KEPT:
        made.add_row(*row)
    return made


def _certificate_line(folder: Path) -> str:
    until = ends((folder / keyring.SERVER).read_bytes())
    return f"Its certificate holds until {until:%Y-%m-%d}; `milepost-cloud certificate` makes the next."
