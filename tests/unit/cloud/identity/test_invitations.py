"""Invitations: good once, for a week, for the address they were made for, never for more than the inviter may do."""

import asyncio
from datetime import timedelta

import pytest

from cloud.http.problem import InvalidInput, Unauthenticated
from cloud.identity.policy import TABLE, Role
from sync_protocol.errors import Conflict, Denied, NotFound
from tests.support.people import HERE, PASSWORD, Town

NEW = "ada@fleet.example"
OTHER = "another-orbit-lantern"


def test_a_newcomer_chooses_a_password_and_is_in(town: Town) -> None:
    async def scene() -> None:
        row, token = await town.invitations.make(1, " Ada@Fleet.Example", Role.TECHNICIAN)
        assert token not in row.token_hash
        assert await town.invitations.look(token) == (1, NEW, Role.TECHNICIAN, False)
        with pytest.raises(InvalidInput):
            await town.invitations.accept(token, "Ada", "short", HERE)
        opened = await town.invitations.accept(token, "Ada", PASSWORD, HERE)
        principal = town.sessions.identify(opened.access)
        assert principal is not None
        assert (principal.tenant, principal.role) == ("north", Role.TECHNICIAN)
        with pytest.raises(NotFound):
            await town.invitations.accept(token, "Eve", OTHER, HERE)
        assert await town.invitations.open_of(1) == []
        assert await town.accounts.log_in(NEW, PASSWORD, None, HERE)

    asyncio.run(scene())


def test_somebody_who_has_an_account_shows_its_password(town: Town) -> None:
    async def scene() -> None:
        await town.add(NEW)
        _, token = await town.invitations.make(2, NEW, Role.OWNER)
        assert (await town.invitations.look(token)).is_known
        with pytest.raises(Unauthenticated):
            await town.invitations.accept(token, "Eve", OTHER, HERE)
        await town.invitations.accept(token, "Ada", PASSWORD, HERE)
        assert (await town.principal(NEW)).tenant == "north", "the first one, without a wish"
        assert (await town.principal(NEW, "south")).role == Role.OWNER
        assert [seated.user.name for seated in await town.members.of(2)] == ["Mara"], "the name stays"

    asyncio.run(scene())


def test_links_end(town: Town) -> None:
    async def scene() -> None:
        row, token = await town.invitations.make(1, NEW, Role.DRIVER)
        with pytest.raises(NotFound):
            await town.invitations.withdraw(2, row.id)
        _, second = await town.invitations.make(1, NEW, Role.DRIVER)
        await town.invitations.withdraw(1, row.id)
        town.now += timedelta(days=7)
        for gone in (token, second, "", "nonsense"):
            with pytest.raises(NotFound, match="ask for a new one"):
                await town.invitations.look(gone)
        with pytest.raises(NotFound):
            await town.invitations.withdraw(1, row.id)

    asyncio.run(scene())


def test_two_links_to_one_newcomer(town: Town) -> None:
    async def scene() -> None:
        _, first = await town.invitations.make(1, NEW, Role.DRIVER)
        _, second = await town.invitations.make(2, NEW, Role.DRIVER)
        await town.invitations.accept(first, "Ada", PASSWORD, HERE)
        with pytest.raises(Unauthenticated):
            await town.invitations.accept(second, "Eve", OTHER, HERE)
        await town.invitations.accept(second, "Ada", PASSWORD, HERE)
        with pytest.raises(Conflict):
            await town.invitations.make(2, NEW, Role.DRIVER)

    asyncio.run(scene())


def test_nobody_invites_above_the_own_role(town: Town) -> None:
    async def scene() -> None:
        with pytest.raises(Denied):
            await town.invitations.make(1, NEW, Role.OWNER, TABLE[Role.MANAGER])
        await town.invitations.make(1, NEW, Role.MANAGER, TABLE[Role.MANAGER])

    asyncio.run(scene())
