"""Tenants and users, as the command line of the service's own machine makes and lists them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
import msgspec

from cloud.identity.personal import PersonalData
from cloud.identity.policy import Role
from cloud.identity.routes import People
from sync_protocol.errors import NotFound


class TenantView(msgspec.Struct, frozen=True):
    """A company."""

    id: int
    name: str
    is_suspended: bool = False


class TenantOrder(msgspec.Struct, frozen=True):
    """A new company: its name is the word in NATS subjects, for ever."""

    name: str


class TenantSwitch(msgspec.Struct, frozen=True):
    """Suspend a company, or take that back."""

    name: str
    is_suspended: bool


class UserOrder(msgspec.Struct, frozen=True):
    """A person for a tenant: with a password, or without one invited by a link."""

    email: str
    tenant: str
    role: Role
    name: str = ""
    password: str | None = None


class UserMade(msgspec.Struct, frozen=True):
    """`link` is what to send to somebody who is invited."""

    email: str
    tenant: str
    role: Role
    link: str | None = None


class UserView(msgspec.Struct, frozen=True):
    """A user in one tenant."""

    id: int
    email: str
    name: str
    tenant: str
    role: Role
    is_disabled: bool


class Switch(msgspec.Struct, frozen=True):
    """Shut a user out, or let them in again."""

    email: str
    is_disabled: bool


class PersonOrder(msgspec.Struct, frozen=True):
    """A user by the e-mail address."""

    email: str


class Erased(msgspec.Struct, frozen=True):
    """The number that is left of a person."""

    user_id: int


class TenantBook(Protocol):
    """What the fleet's registry does with tenants."""

    def tenants(self) -> Mapping[str, int]:
        """All tenants: {name: id}."""

    def add_tenant(self, name: str) -> int:
        """A new tenant."""

    def is_suspended(self, tenant_id: int) -> bool:
        """Whether people and keys of a tenant are refused."""

    def suspend(self, name: str, *, is_suspended: bool) -> int:
        """Suspend a tenant, or take that back."""


class PeopleAdmin(NamedTuple):
    """Administration of tenants and users, behind the control socket and the command line."""

    people: People
    book: TenantBook
    note: Callable[[Iterable[int], str], Awaitable[None]]

    async def add_tenant(self, order: TenantOrder) -> TenantView:
        """A new tenant. `Conflict` when the name is taken."""
        return TenantView(self.book.add_tenant(order.name), order.name)

    async def tenants(self) -> list[TenantView]:
        """All tenants by name."""
        known = sorted(self.book.tenants().items())
        return [TenantView(number, name, self.book.is_suspended(number)) for name, number in known]

    async def switch_tenant(self, order: TenantSwitch) -> TenantView:
        """Suspend a tenant, ending every session and live connection, or take that back. `NotFound`."""
        suspend = partial(self.book.suspend, order.name, is_suspended=order.is_suspended)
        tenant_id = await asyncio.to_thread(suspend)
        if order.is_suspended:
            await self.people.sessions.end_tenant(tenant_id, "suspended")
            self.people.keys.break_off(tenant_id)
        return TenantView(tenant_id, order.name, order.is_suspended)

    async def add_user(self, order: UserOrder) -> UserMade:
        """A user or an invitation. `NotFound` for a tenant that is not there."""
        tenant_id = self.book.tenants().get(order.tenant)
        if tenant_id is None:
            raise NotFound(f"There is no tenant {order.tenant!r}: milepost-cloud tenant add {order.tenant}")
        if order.password is None:
            row, token = await self.people.invitations.make(tenant_id, order.email, order.role)
            return UserMade(row.email, order.tenant, order.role, self.people.link("invitation", token))
        await self.people.accounts.add(order.email, order.name, tenant_id, order.role, order.password)
        return UserMade(order.email, order.tenant, order.role)

    async def users(self) -> list[UserView]:
        """All users with each of their tenants, by e-mail address."""
        await self.note(self.book.tenants().values(), "members")
        names = {number: name for name, number in self.book.tenants().items()}
        return [
            UserView(one.id, one.email, one.name, names[one.tenant_id], one.role, one.disabled is not None)
            for one in await self.people.accounts.all()
        ]

    async def switch(self, order: Switch) -> None:
        """Shut a user out, ending every session, or let them in again."""
        await self.people.accounts.disable(order.email, is_disabled=order.is_disabled)

    async def person(self, order: PersonOrder) -> PersonalData:
        """What is kept about a user; each of their companies sees that it was asked for. `NotFound`."""
        found = await self.people.personal.of(await self.people.personal.number_of(order.email))
        known = self.book.tenants()
        await self.note([known[one.tenant] for one in found.memberships], "personal_data")
        return found

    async def erase(self, order: PersonOrder) -> Erased:
        """Erase a user. `NotFound`, `Conflict` for the only owner of a company."""
        return Erased(await self.people.personal.erase(order.email))


@post("/tenants")
async def add_tenant(people_admin: NamedDependency[PeopleAdmin], data: JSONBody[TenantOrder]) -> TenantView:
    """A new tenant."""
    return await people_admin.add_tenant(data)


@get("/tenants")
async def list_tenants(people_admin: NamedDependency[PeopleAdmin]) -> list[TenantView]:
    """All tenants."""
    return await people_admin.tenants()


@post("/tenants/switch", status_code=200)
async def switch_tenant(people_admin: NamedDependency[PeopleAdmin], data: JSONBody[TenantSwitch]) -> TenantView:
    """Suspend a tenant, or take that back."""
    return await people_admin.switch_tenant(data)


@post("/users")
async def add_user(people_admin: NamedDependency[PeopleAdmin], data: JSONBody[UserOrder]) -> UserMade:
    """A user or an invitation."""
    return await people_admin.add_user(data)


@get("/users")
async def list_users(people_admin: NamedDependency[PeopleAdmin]) -> list[UserView]:
    """All users."""
    return await people_admin.users()


@post("/users/switch", status_code=200)
async def switch_user(people_admin: NamedDependency[PeopleAdmin], data: JSONBody[Switch]) -> Switch:
    """Shut a user out, or let them in again."""
    await people_admin.switch(data)
    return data


@post("/users/data", status_code=200)
async def export_person(people_admin: NamedDependency[PeopleAdmin], data: JSONBody[PersonOrder]) -> PersonalData:
    """What is kept about a user."""
    return await people_admin.person(data)


@post("/users/erase", status_code=200)
async def erase_person(people_admin: NamedDependency[PeopleAdmin], data: JSONBody[PersonOrder]) -> Erased:
    """Erase a user."""
    return await people_admin.erase(data)


ROUTES = [export_person, erase_person, add_tenant, list_tenants, switch_tenant, add_user, list_users, switch_user]
