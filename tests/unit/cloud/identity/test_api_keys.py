"""API keys: some of the maker's actions, in one tenant, until a day."""

import asyncio
from datetime import timedelta

import pytest

from cloud.http.problem import InvalidInput
from cloud.identity.api_keys import PREFIX
from cloud.identity.policy import Action, Role, may
from sync_protocol.errors import Denied, NotFound
from tests.support.people import Town

DAY = timedelta(days=1)


def test_a_key_does_what_it_was_made_for_and_outlives_a_restart(town: Town) -> None:
    async def scene() -> None:
        await town.add(role=Role.OWNER)
        row, token = await town.keys.make(await town.principal(), "report", [Action.READ_FLEET], DAY)
        assert token.startswith(PREFIX)
        assert token not in row.secret_hash
        for _ in range(2):
            principal = town.keys.identify(token)
            assert principal is not None
            assert (principal.kind, principal.tenant, principal.actions) == ("key", "north", {Action.READ_FLEET})
            assert not may(principal, Action.SELF)
            town.open()

    asyncio.run(scene())


def test_it_ends_on_its_day_or_when_somebody_ends_it(town: Town) -> None:
    async def scene() -> None:
        await town.add(role=Role.OWNER)
        owner = await town.principal()
        _, day = await town.keys.make(owner, "day", [Action.READ_FLEET], DAY)
        week_row, week = await town.keys.make(owner, "week", [Action.READ_FLEET], 7 * DAY)
        before = town.keys.identify(day), town.keys.identify(week)
        town.now += DAY
        assert town.keys.identify(day) is None
        await town.keys.end_expired()
        assert [row.name for row in await town.keys.of(1)] == ["week"]
        for tenant_id, key_id in ((2, week_row.id), (1, 99)):
            with pytest.raises(NotFound, match=r"^There is no such API key\.$"):
                await town.keys.end(tenant_id, key_id)
        assert town.keys.identify(week) is not None
        await town.keys.end(1, week_row.id)
        assert town.keys.identify(week) is None
        assert all(principal is not None and principal.ended.is_set() for principal in before)
        town.open()
        assert town.keys.identify(week) is None

    asyncio.run(scene())


@pytest.mark.parametrize("action", [Action.SELF, Action.MANAGE_KEYS, Action.MANAGE_MEMBERS, Action.PUBLIC])
def test_what_no_key_may_do(town: Town, action: Action) -> None:
    async def scene() -> None:
        await town.add(role=Role.OWNER)
        with pytest.raises(InvalidInput):
            await town.keys.make(await town.principal(), "all", [Action.READ_FLEET, action], DAY)

    asyncio.run(scene())


def test_nobody_makes_a_key_that_may_do_more(town: Town) -> None:
    async def scene() -> None:
        await town.add(role=Role.AUDITOR)
        with pytest.raises(Denied):
            await town.keys.make(await town.principal(), "all", [Action.CHANGE_VEHICLE], DAY)

    asyncio.run(scene())
