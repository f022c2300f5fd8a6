"""Members: other roles hold at once, nobody reaches above the own role or into another tenant, an owner stays."""

import asyncio

import pytest

from cloud.identity.policy import Role
from sync_protocol.errors import Conflict, Denied, NotFound
from tests.support.people import Town

BOSS, HAND, ELSE = "boss@fleet.example", "hand@fleet.example", "else@fleet.example"


def test_roles_change_and_people_go(town: Town) -> None:
    async def scene() -> None:
        await town.add(BOSS, role=Role.OWNER)
        hand = await town.add(HAND, role=Role.DRIVER)
        boss, before = await town.principal(BOSS), await town.principal(HAND)
        changed = await town.members.change(boss, hand, Role.DISPATCHER)
        assert (changed.user.email, changed.role) == (HAND, Role.DISPATCHER)
        assert before.ended.is_set()
        assert [(m.user.email, m.role) for m in await town.members.of(1)] == [
            (BOSS, Role.OWNER),
            (HAND, Role.DISPATCHER),
        ]
        await town.members.remove(boss, hand)
        assert [m.user.email for m in await town.members.of(1)] == [BOSS]
        assert town.sessions.of_user(hand) == []
        with pytest.raises(Denied, match="not a member"):
            await town.principal(HAND)

    asyncio.run(scene())


def test_those_of_another_tenant_are_not_there(town: Town) -> None:
    async def scene() -> None:
        await town.add(BOSS, role=Role.OWNER)
        foreign = await town.add(ELSE, tenant="south", role=Role.DRIVER)
        boss = await town.principal(BOSS)
        for absent in (foreign, 999):
            with pytest.raises(NotFound, match=r"^There is no such member\.$"):
                await town.members.change(boss, absent, Role.MANAGER)
            with pytest.raises(NotFound, match=r"^There is no such member\.$"):
                await town.members.remove(boss, absent)
        assert [m.role for m in await town.members.of(2)] == [Role.DRIVER]

    asyncio.run(scene())


def test_a_manager_neither_makes_nor_unmakes_an_owner(town: Town) -> None:
    async def scene() -> None:
        boss = await town.add(BOSS, role=Role.OWNER)
        await town.add(HAND, role=Role.MANAGER)
        manager = await town.principal(HAND)
        with pytest.raises(Denied):
            await town.members.change(manager, manager.number, Role.OWNER)
        with pytest.raises(Denied):
            await town.members.change(manager, boss, Role.DRIVER)
        with pytest.raises(Denied):
            await town.members.remove(manager, boss)
        await town.members.change(manager, manager.number, Role.DRIVER)

    asyncio.run(scene())


def test_the_last_owner_stays(town: Town) -> None:
    async def scene() -> None:
        boss = await town.add(BOSS, role=Role.OWNER)
        second = await town.add(HAND, role=Role.OWNER)
        principal = await town.principal(BOSS)
        await town.members.change(principal, second, Role.MANAGER)
        with pytest.raises(Conflict, match="at least one owner"):
            await town.members.change(principal, boss, Role.MANAGER)
        with pytest.raises(Conflict):
            await town.members.remove(principal, boss)
        await town.members.change(principal, boss, Role.OWNER)

    asyncio.run(scene())
