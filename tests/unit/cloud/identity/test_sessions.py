"""Sessions: how long they last, that a refresh token works once, and that an end is an end."""

import asyncio

import pytest

from cloud.http.problem import Unauthenticated
from cloud.identity.policy import TABLE, Role
from cloud.identity.sessions import Opened
from sync_protocol.errors import NotFound
from tests.support.people import HERE, PASSWORD, Town


async def opened(town: Town, email: str = "mara@fleet.example") -> Opened:
    return await town.accounts.log_in(email, PASSWORD, None, HERE)


def test_a_session_outlives_its_access_tokens_and_a_restart(town: Town) -> None:
    async def scene() -> None:
        user_id = await town.add()
        first = await opened(town)
        principal = town.sessions.identify(first.access)
        assert principal is not None
        assert (principal.number, principal.tenant, principal.role) == (user_id, "north", Role.MANAGER)
        town.later(minutes=11)
        assert town.sessions.identify(first.access) is None
        second = await town.sessions.refresh(first.refresh)
        town.open()
        third = await town.sessions.refresh(second.refresh)
        assert town.sessions.identify(third.access) is not None

    asyncio.run(scene())


def test_a_refresh_token_that_comes_back_later_ends_the_session(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        first = await opened(town)
        second = await town.sessions.refresh(first.refresh)
        principal = town.sessions.identify(second.access)
        assert principal is not None
        town.later(seconds=21)
        with pytest.raises(Unauthenticated):
            await town.sessions.refresh(first.refresh)
        assert town.sessions.identify(second.access) is None
        assert principal.ended.is_set(), "live connections hear of it"
        with pytest.raises(Unauthenticated):
            await town.sessions.refresh(second.refresh)
        town.open()
        assert town.sessions.identify(second.access) is None, "also after a restart"

    asyncio.run(scene())


def test_a_lost_answer_is_given_again_for_a_moment(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        first = await opened(town)
        second = await town.sessions.refresh(first.refresh)
        town.later(seconds=19)
        assert (await town.sessions.refresh(first.refresh)).refresh == second.refresh
        third = await town.sessions.refresh(second.refresh)
        with pytest.raises(Unauthenticated):
            await town.sessions.refresh(first.refresh)
        assert town.sessions.identify(third.access) is None, "two generations back is a theft, however soon"

    asyncio.run(scene())


def test_tokens_that_are_made_up_end_nothing(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        first = await opened(town)
        session_id = first.refresh.split(".")[0]
        with pytest.raises(Unauthenticated):
            await town.sessions.refresh(f"{session_id}.1.{'0' * 64}")
        assert town.sessions.identify(first.access) is not None

    asyncio.run(scene())


def test_idle_and_old_sessions_end(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        idle = await opened(town)
        town.later(days=14, seconds=1)
        assert town.sessions.identify(idle.access) is None
        with pytest.raises(Unauthenticated):
            await town.sessions.refresh(idle.refresh)
        kept = await opened(town)
        for _ in range(8):
            town.later(days=11)
            kept = await town.sessions.refresh(kept.refresh)
        town.later(days=2, seconds=1)
        with pytest.raises(Unauthenticated):
            await town.sessions.refresh(kept.refresh)

    asyncio.run(scene())


def test_own_sessions_are_seen_and_ended_those_of_others_are_not_there(town: Town) -> None:
    async def scene() -> None:
        mara = await town.add()
        other = await town.add("else@fleet.example")
        one, two, foreign = await opened(town), await opened(town), await opened(town, "else@fleet.example")
        mine = [live.principal.session_id for live in town.sessions.of_user(mara)]
        assert len(mine) == 2
        (theirs,) = (live.principal.session_id for live in town.sessions.of_user(other))
        for absent in (theirs, "00" * 16, "nonsense"):
            with pytest.raises(NotFound, match=r"^There is no such session\.$"):
                await town.sessions.end_own(mara, absent)
        assert town.sessions.identify(foreign.access) is not None
        await town.sessions.end_own(mara, two.refresh.split(".")[0])
        assert town.sessions.identify(two.access) is None
        assert town.sessions.identify(one.access) is not None

    asyncio.run(scene())


def test_another_role_holds_at_once(town: Town) -> None:
    async def scene() -> None:
        user_id = await town.add()
        session = await opened(town)
        before = town.sessions.identify(session.access)
        assert before is not None
        await town.sessions.role_changed(user_id, 2, Role.OWNER)
        assert town.sessions.identify(session.access) is before, "another tenant's affair"
        await town.sessions.role_changed(user_id, 1, Role.DRIVER)
        after = town.sessions.identify(session.access)
        assert after is not None
        assert (after.role, after.actions) == (Role.DRIVER, TABLE[Role.DRIVER])
        assert before.ended.is_set()
        assert not after.ended.is_set()
        await town.sessions.role_changed(user_id, 1, None)
        assert town.sessions.identify(session.access) is None

    asyncio.run(scene())


def test_sessions_of_the_demo_end_with_it(town: Town) -> None:
    async def scene() -> None:
        town.accounts.ensure_demo(1)
        town.accounts.ensure_demo(1)
        demo = await town.accounts.log_in_demo(HERE)
        principal = town.sessions.identify(demo.access)
        assert principal is not None
        assert principal.is_demo
        town.open(is_demo=True)
        assert town.sessions.identify(demo.access) is not None
        town.open(is_demo=False)
        assert town.sessions.identify(demo.access) is None

    asyncio.run(scene())
