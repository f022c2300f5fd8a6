"""Log-in: one answer for all that is wrong, slower for guessers, and passwords worth the name."""

import asyncio

import pytest

from cloud.http.problem import InvalidInput, Throttled, Unauthenticated
from cloud.identity.policy import Role
from sync_protocol.errors import Conflict, Denied, NotFound
from tests.support.people import ELSEWHERE, HERE, PASSWORD, TENANTS, Town

EMAIL = "mara@fleet.example"
NEW = "another-orbit-lantern"


async def refused(town: Town, email: str = EMAIL, password: str = "wrong", **of: object) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await town.accounts.log_in(email, password, None, HERE)
    return str(caught.value)


def test_all_that_is_wrong_is_told_alike(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        await town.add("gone@fleet.example")
        await town.accounts.disable("gone@fleet.example", is_disabled=True)
        town.accounts.ensure_demo(1)
        words = {
            await refused(town),
            await refused(town, "nobody@fleet.example"),
            await refused(town, "gone@fleet.example", PASSWORD),
            await refused(town, "demo@milepost.invalid", ""),
        }
        assert words == {"E-mail address and password do not belong together."}

    asyncio.run(scene())


def test_the_address_is_the_same_in_capitals(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        await town.accounts.log_in(" Mara@Fleet.Example ", PASSWORD, "north", HERE)
        with pytest.raises(Conflict):
            await town.add("MARA@fleet.example")

    asyncio.run(scene())


def test_a_guesser_waits_and_the_owner_does_not(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        for _ in range(5):
            await refused(town)
        with pytest.raises(Throttled):
            await town.accounts.log_in(EMAIL, PASSWORD, None, HERE)
        assert await town.accounts.log_in(EMAIL, PASSWORD, None, ELSEWHERE)
        town.passed_s += 2.1
        assert await town.accounts.log_in(EMAIL, PASSWORD, None, HERE)

    asyncio.run(scene())


def test_a_client_that_tries_many_accounts_waits_too(town: Town) -> None:
    async def scene() -> None:
        for number in range(50):
            await refused(town, f"user{number}@fleet.example")
        with pytest.raises(Throttled):
            await town.accounts.log_in("fresh@fleet.example", "x", None, HERE)

    asyncio.run(scene())


def test_a_tenant_one_does_not_belong_to_and_one_that_is_not_there(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        words = set()
        for tenant in ("south", "nowhere"):
            with pytest.raises(Denied) as caught:
                await town.accounts.log_in(EMAIL, PASSWORD, tenant, HERE)
            words.add(str(caught.value))
        assert len(words) == 1

    asyncio.run(scene())


def test_a_new_password_ends_all_other_sessions(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        mine = await town.accounts.log_in(EMAIL, PASSWORD, None, HERE)
        other = await town.accounts.log_in(EMAIL, PASSWORD, None, ELSEWHERE)
        principal = town.sessions.identify(mine.access)
        assert principal is not None
        with pytest.raises(InvalidInput, match="that you have"):
            await town.accounts.change_password(principal, "wrong", NEW, HERE)
        await town.accounts.change_password(principal, PASSWORD, NEW, HERE)
        assert town.sessions.identify(mine.access) is not None
        assert town.sessions.identify(other.access) is None
        await refused(town, EMAIL, PASSWORD)
        assert await town.accounts.log_in(EMAIL, NEW, None, HERE)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("password", "told"),
    [("short", "12 to 200"), ("x" * 201, "12 to 200"), ("aaaaaaaaaaaa", "different"), ("mara12345678", "address")],
)
def test_weak_passwords_are_refused(town: Town, password: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        asyncio.run(town.accounts.add(EMAIL, "Mara", 1, Role.OWNER, password))


@pytest.mark.parametrize("email", ["", "mara", "a@b@c", "a b@c", "@c", "x" * 300 + "@c"])
def test_what_is_no_address(town: Town, email: str) -> None:
    with pytest.raises(InvalidInput, match="e-mail address"):
        asyncio.run(town.accounts.add(email, "Mara", 1, Role.OWNER, PASSWORD))


def test_disabling_ends_sessions_and_is_taken_back(town: Town) -> None:
    async def scene() -> None:
        await town.add()
        session = await town.accounts.log_in(EMAIL, PASSWORD, None, HERE)
        await town.accounts.disable(EMAIL, is_disabled=True)
        assert town.sessions.identify(session.access) is None
        (known,) = await town.accounts.all()
        assert (known.email, known.tenant_id, known.disabled) == (EMAIL, TENANTS["north"], town.now)
        await town.accounts.disable(EMAIL, is_disabled=False)
        assert await town.accounts.log_in(EMAIL, PASSWORD, None, HERE)
        with pytest.raises(NotFound):
            await town.accounts.disable("nobody@fleet.example", is_disabled=True)

    asyncio.run(scene())


def test_without_a_demo_nobody_is_the_demo_user(town: Town) -> None:
    with pytest.raises(NotFound):
        asyncio.run(town.accounts.log_in_demo(HERE))
