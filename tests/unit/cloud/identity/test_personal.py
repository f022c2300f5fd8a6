"""A person is given everything that is kept about them; once erased, nothing of it is in any table."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from cloud.db.base import Base
from cloud.identity.policy import Action, Role
from sync_protocol.errors import Conflict, NotFound
from tests.support.people import HERE, PASSWORD, Town

MARA, BOSS = "mara@fleet.example", "boss@fleet.example"
WORDS = ("mara", "Mara", HERE.address, "argon2")


def everything(town: Town) -> str:
    """All rows of all tables, as text."""
    with town.db.engine.connect() as connection:
        return " ".join(str(row) for table in Base.metadata.sorted_tables for row in connection.execute(select(table)))


async def live(town: Town) -> int:
    """Mara has done whatever people do."""
    number = await town.add(MARA, role=Role.OWNER)
    principal = await town.principal(MARA)
    await town.keys.make(principal, "report", [Action.READ_FLEET], timedelta(days=1))
    _, token = await town.invitations.make(2, MARA, Role.DRIVER)
    await town.invitations.accept(token, "Mara", PASSWORD, HERE)
    await town.second.begin(number)
    return number


def test_what_is_kept(town: Town) -> None:
    async def scene() -> None:
        number = await live(town)
        kept = await town.personal.of(await town.personal.number_of(MARA.upper()))
        assert (kept.id, kept.email, kept.name, kept.has_password) == (number, MARA, "Mara", True)
        assert [(one.tenant, one.role) for one in kept.memberships] == [("north", "owner"), ("south", "driver")]
        assert [(one.tenant, one.address, one.agent) for one in kept.log_ins] == [
            ("north", HERE.address, HERE.agent),
            ("south", HERE.address, HERE.agent),
        ]
        assert [(one.tenant, one.name) for one in kept.api_keys] == [("north", "report")]
        assert len(kept.invitations) == 1
        for absent in (number + 1, 0):
            with pytest.raises(NotFound):
                await town.personal.of(absent)

    asyncio.run(scene())


def test_once_erased_no_table_holds_a_word(town: Town) -> None:
    async def scene() -> None:
        number = await live(town)
        await town.accounts.add(BOSS, "Boss", 1, Role.OWNER, PASSWORD)
        boss = await town.principal(BOSS)
        before = everything(town)
        assert all(word in before for word in WORDS)
        assert await town.personal.erase(MARA) == number
        assert town.sessions.of_user(number) == []
        assert town.sessions.of_user(boss.number) != []
        after = everything(town)
        assert "mara" not in after.lower()
        kept = await town.personal.of(number)
        assert (kept.email, kept.name) == (f"erased-{number}@milepost.invalid", "Erased person")
        assert (kept.has_password, kept.memberships, kept.log_ins, kept.invitations) == (False, [], [], [kept.created])
        with pytest.raises(NotFound):
            await town.personal.erase(MARA)
        assert await town.add(MARA) != number, "the address may come again"

    asyncio.run(scene())


def test_the_only_owner_stays(town: Town) -> None:
    async def scene() -> None:
        await town.add(MARA, role=Role.OWNER)
        with pytest.raises(Conflict, match="at least one owner"):
            await town.personal.erase(MARA)
        assert (await town.personal.of(await town.personal.number_of(MARA))).name == "Mara"

    asyncio.run(scene())
