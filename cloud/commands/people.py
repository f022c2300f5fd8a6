"""`milepost-cloud tenant` and `user`: companies, and the first person of each; the others come in by the web app."""

import asyncio
from collections.abc import Awaitable, Callable
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from cloud.identity.passwords import check_password
from cloud.identity.personal import PersonalData
from cloud.identity.policy import Role
from cloud.ops.control import ControlClient
from cloud.ops.logs import configure_logs
from cloud.ops.people import (
    Erased,
    PeopleAdmin,
    PersonOrder,
    Switch,
    TenantOrder,
    TenantSwitch,
    TenantView,
    UserMade,
    UserOrder,
    UserView,
)
from sync_protocol.errors import Conflict

if TYPE_CHECKING:
    from cloud.cli import Settings

T = TypeVar("T")
as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


@click.group()
def tenant() -> None:
    """Companies that share this service."""


@tenant.command("add")
@click.argument("name")
@as_json
@click.pass_obj
def tenant_add(settings: "Settings", name: str, as_json: bool) -> None:
    """Add a company. NAME is a word of a-z 0-9 _ - that stands in addresses of devices, for ever."""
    made = _ask(
        settings, "POST", "/tenants", TenantView, TenantOrder(name), lambda admin, order: admin.add_tenant(order)
    )
    _show(made, as_json, f"tenant {made.name} is there; now: milepost-cloud user add EMAIL --tenant {made.name}")


@tenant.command("list")
@as_json
@click.pass_obj
def tenant_list(settings: "Settings", as_json: bool) -> None:
    """List the companies."""
    found = _ask(settings, "GET", "/tenants", list[TenantView], None, lambda admin, _: admin.tenants())
    _show(
        found,
        as_json,
        "\n".join(f"{one.id:>6}  {one.name}{'  suspended' if one.is_suspended else ''}" for one in found)
        or "no tenant yet",
    )


@tenant.command("suspend")
@click.argument("name")
@click.pass_obj
def tenant_suspend(settings: "Settings", name: str) -> None:
    """Refuse a company's people and keys from now on. Its devices go on: nothing that they measure is lost."""
    _switch_tenant(settings, TenantSwitch(name, True))
    click.echo(f"{name} is suspended; to take it back: milepost-cloud tenant resume {name}")


@tenant.command("resume")
@click.argument("name")
@click.pass_obj
def tenant_resume(settings: "Settings", name: str) -> None:
    """Let a company's people and keys in again."""
    _switch_tenant(settings, TenantSwitch(name, False))
    click.echo(f"people of {name} may log in again")


def _switch_tenant(settings: "Settings", order: TenantSwitch) -> None:
    _ask(settings, "POST", "/tenants/switch", TenantView, order, lambda admin, order: admin.switch_tenant(order))


@click.group()
def user() -> None:
    """People who may log in."""


@user.command("add")
@click.argument("email")
@click.option("--tenant", "tenant_name", required=True, help="The company they belong to.")
@click.option("--role", default="owner", show_default=True, type=click.Choice([role.value for role in Role]))
@click.option("--name", help="What others see; without: the part of the address before the @.")
@click.option("--password", "asks_password", is_flag=True, help="Ask for a password now, instead of making a link.")
@as_json
@click.pass_obj
def user_add(
    settings: "Settings",
    email: str,
    tenant_name: str,
    role: str,
    name: str | None,
    asks_password: bool,
    as_json: bool,
) -> None:
    """Invite somebody by a link that is good once, for a week; or add them with a password that you type."""
    password = None
    if asks_password:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        check_password(password, email.strip().lower(), "password")
    order = UserOrder(email, tenant_name, Role(role), name or email.partition("@")[0], password)
    made = _ask(settings, "POST", "/users", UserMade, order, lambda admin, order: admin.add_user(order))
    words = f"{made.email} is {made.role} of {made.tenant}"
    if made.link is not None:
        words = f"send this link to {made.email}, who will be {made.role} of {made.tenant}:\n  {made.link}"
    _show(made, as_json, words)


@user.command("list")
@as_json
@click.pass_obj
def user_list(settings: "Settings", as_json: bool) -> None:
    """List the people, with each company they belong to."""
    found = _ask(settings, "GET", "/users", list[UserView], None, lambda admin, _: admin.users())
    lines = [f"{one.email:<36} {one.role:<11} {one.tenant}{'  disabled' if one.is_disabled else ''}" for one in found]
    _show(found, as_json, "\n".join(lines) or "nobody yet")


@user.command("disable")
@click.argument("email")
@click.pass_obj
def user_disable(settings: "Settings", email: str) -> None:
    """Shut somebody out now: every session of theirs ends."""
    _switch(settings, Switch(email, True))
    click.echo(f"{email} is shut out")


@user.command("enable")
@click.argument("email")
@click.pass_obj
def user_enable(settings: "Settings", email: str) -> None:
    """Let somebody in again."""
    _switch(settings, Switch(email, False))
    click.echo(f"{email} may log in again")


@user.command("export")
@click.argument("email")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def user_export(settings: "Settings", email: str, path: Path) -> None:
    """Write what is kept about somebody to a new file, as JSON."""
    if path.exists():
        raise Conflict(f"{path}: there is such a file already")
    order = PersonOrder(email)
    found = _ask(settings, "POST", "/users/data", PersonalData, order, lambda admin, order: admin.person(order))
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    click.echo(f"what is kept about {email} is in {path}")


@user.command("erase")
@click.argument("email")
@click.confirmation_option(prompt="Address, name, password and log-ins are gone for good. Erase them?")
@click.pass_obj
def user_erase(settings: "Settings", email: str) -> None:
    """Erase somebody: what is left is a number in the audit log."""
    order = PersonOrder(email)
    gone = _ask(settings, "POST", "/users/erase", Erased, order, lambda admin, order: admin.erase(order))
    click.echo(f"{email} is erased; in the audit log it was user {gone.user_id}")


def _switch(settings: "Settings", order: Switch) -> None:
    async def switch(admin: PeopleAdmin, order: Switch) -> Switch:
        await admin.switch(order)
        return order

    _ask(settings, "POST", "/users/switch", Switch, order, switch)


def _ask(
    settings: "Settings",
    method: str,
    path: str,
    kind: type[T],
    order: Any,
    offline: Callable[[PeopleAdmin, Any], Awaitable[T]],
) -> T:
    """Of the running service; without one of the database itself, under the exclusive lock."""
    from cloud.app import Cloud

    config = settings.load()
    configure_logs("warning")
    client = ControlClient(config.data_dir)
    if client.is_running():
        return client.ask(method, path, kind, order)
    cloud = Cloud(config)

    async def work() -> T:
        return await offline(cloud.people_admin(), order)

    try:
        cloud.open_stores()
        return asyncio.run(work())
    finally:
        cloud.close()


def _show(value: Any, as_json: bool, plain: str) -> None:
    click.echo(json.dumps(msgspec.to_builtins(value)) if as_json else plain)
