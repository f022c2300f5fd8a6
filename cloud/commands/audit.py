"""`milepost-cloud audit`: whether the logs are whole, and a log as a file."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
import json
from pathlib import Path
import sys
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import click
import msgspec

from cloud.audit.chain import walk_lines
from cloud.audit.payloads import Verification, verification
from cloud.ops.audit import AuditAdmin, LogLines, LogVerdict
from cloud.ops.control import ControlClient
from cloud.ops.logs import configure_logs
from sync_protocol.errors import Conflict

if TYPE_CHECKING:
    from cloud.cli import Settings

T = TypeVar("T")
BAD_NEWS = 1


@click.group()
def audit() -> None:
    """Who changed or looked at what: check the log, write it to a file."""


@audit.command()
@click.option("--tenant", help="Only the log of this company.")
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An exported log.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@click.pass_obj
def verify(settings: "Settings", tenant: str | None, path: Path | None, as_json: bool) -> None:
    """Walk the logs, or an exported one, which needs no service: each entry as it was written, and none missing.

    Note the head (the last hash): a log that somebody writes anew from its beginning is whole, with another head.
    """
    if path is not None and tenant is not None:
        raise click.UsageError("--file: the file says whose log it is; leave out --tenant")
    if path is None:
        query = "" if tenant is None else f"?tenant={quote(tenant)}"
        found = _ask(settings, f"/audit/verification{query}", list[LogVerdict], lambda admin: admin.verify(tenant))
    else:
        with path.open("rb") as file:
            walk = walk_lines(file)
        found = [LogVerdict(path.name if walk.tenant_id is None else f"tenant {walk.tenant_id}", verification(walk))]
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found)))
    else:
        click.echo("\n".join(_line(one.tenant, one.verification) for one in found) or "no tenant yet")
    if not all(one.verification.is_whole for one in found):
        sys.exit(BAD_NEWS)


@audit.command()
@click.option("--tenant", required=True, help="Whose log.")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def export(settings: "Settings", tenant: str, path: Path) -> None:
    """Write a whole log to a new file, an entry a line."""
    if path.exists():
        raise Conflict(f"{path}: there is such a file already")
    after, lines = 0, 0
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8", newline="") as file:
        while True:
            query = f"/audit/entries?tenant={quote(tenant)}&after={after}"
            got = _ask(settings, query, LogLines, partial(AuditAdmin.lines, tenant=tenant, after=after))
            if got.last is None:
                break
            file.write(got.text)
            after, lines = got.last, lines + got.text.count("\n")
    click.echo(f"{lines} entries in {path}; check them with: milepost-cloud audit verify --file {path}")


def _line(tenant: str, found: Verification) -> str:
    if found.fault is not None:
        return f"{tenant}: NOT whole: entry {found.fault.number} {found.fault.reason}"
    return f"{tenant}: {found.entries} entries, whole\n  head {found.head}"


def _ask(settings: "Settings", path: str, kind: type[T], offline: Callable[[AuditAdmin], Awaitable[T]]) -> T:
    """Ask the running service; without one its database, under the exclusive lock."""
    from cloud.app import Cloud

    config = settings.load()
    configure_logs("warning")
    client = ControlClient(config.data_dir)
    if client.is_running():
        return client.ask("GET", path, kind)
    cloud = Cloud(config)
    try:
        cloud.open_stores()
        return asyncio.run(_done(offline(cloud.audit_admin())))
    finally:
        cloud.close()


async def _done(work: Awaitable[T]) -> T:
    return await work
