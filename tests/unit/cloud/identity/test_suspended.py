"""While a tenant is suspended nobody comes in for it, and nobody stays in; other tenants notice nothing."""

import asyncio
from datetime import timedelta

import pytest

from cloud.identity.policy import Action, Role
from sync_protocol.errors import Denied
from tests.support.people import HERE, PASSWORD, Town

BOSS, ELSE = "boss@fleet.example", "else@fleet.example"


def test_nobody_comes_in_or_stays_in(town: Town) -> None:
    async def scene() -> None:
        await town.add(BOSS, role=Role.OWNER)
        await town.add(ELSE, tenant="south", role=Role.OWNER)
        boss, other = await town.principal(BOSS), await town.principal(ELSE)
        _, token = await town.keys.make(boss, "report", [Action.READ_FLEET], timedelta(days=1))
        key = town.keys.identify(token)
        assert key is not None
        town.directory.suspended.add(1)
        await town.sessions.end_tenant(1, "suspended")
        town.keys.break_off(1)
        assert (boss.ended.is_set(), key.ended.is_set(), other.ended.is_set()) == (True, True, False)
        assert town.sessions.of_user(boss.number) == []
        assert town.keys.identify(token) is None
        with pytest.raises(Denied, match="suspended"):
            await town.principal(BOSS)
        town.directory.suspended.clear()
        await town.principal(BOSS)
        again = town.keys.identify(token)
        assert again is not None
        assert not again.ended.is_set()

    asyncio.run(scene())


def test_one_company_keeps_nobody_out_of_another(town: Town) -> None:
    async def scene() -> None:
        await town.add(BOSS, role=Role.OWNER)
        _, token = await town.invitations.make(2, BOSS, Role.DRIVER)
        await town.invitations.accept(token, "Mara", PASSWORD, HERE)
        town.directory.suspended.add(1)
        assert (await town.principal(BOSS)).tenant_id == 2
        with pytest.raises(Denied):
            await town.principal(BOSS, "north")

    asyncio.run(scene())
