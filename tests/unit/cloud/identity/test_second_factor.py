"""The second factor: needed once confirmed, by every way in; codes and recovery codes work once."""

import asyncio

import pytest
from sqlalchemy import text

from cloud.http.problem import InvalidInput, Throttled, Unauthenticated
from cloud.identity import totp
from cloud.identity.policy import Role
from cloud.identity.second_factor import NEEDED
from cloud.identity.vault import Vault
from sync_protocol.errors import Conflict, Rejected
from tests.support.people import HERE, PASSWORD, SECRET, Town

EMAIL = "mara@fleet.example"


def code(town: Town, secret: bytes) -> str:
    return totp.code(secret, int(town.now.timestamp() // 30))


async def enabled(town: Town) -> tuple[int, bytes, list[str]]:
    user_id = await town.add()
    secret, _ = await town.second.begin(user_id)
    codes = await town.second.confirm(user_id, code(town, secret))
    town.later(seconds=30)
    return user_id, secret, codes


async def log_in(town: Town, otp: str | None) -> None:
    await town.accounts.log_in(EMAIL, PASSWORD, None, HERE, otp)


def test_before_a_first_code_it_does_not_count(town: Town) -> None:
    async def scene() -> None:
        user_id = await town.add()
        await town.second.begin(user_id)
        with pytest.raises(InvalidInput):
            await town.second.confirm(user_id, "000000")
        await log_in(town, None)
        with pytest.raises(Conflict):
            await town.second.remove(user_id, "000000")

    asyncio.run(scene())


def test_then_every_log_in_needs_a_code_and_each_works_once(town: Town) -> None:
    async def scene() -> None:
        _, secret, _ = await enabled(town)
        with pytest.raises(Unauthenticated) as needed:
            await log_in(town, None)
        assert needed.value.kind == NEEDED
        with pytest.raises(Unauthenticated):
            await log_in(town, "000000")
        await log_in(town, code(town, secret))
        with pytest.raises(Unauthenticated):
            await log_in(town, code(town, secret))
        with pytest.raises(Unauthenticated, match="do not belong together"):
            await town.accounts.log_in(EMAIL, "wrong", None, HERE, code(town, secret))

    asyncio.run(scene())


def test_an_invitation_is_no_way_around_it(town: Town) -> None:
    async def scene() -> None:
        _, secret, _ = await enabled(town)
        _, token = await town.invitations.make(2, EMAIL, Role.DRIVER)
        with pytest.raises(Unauthenticated):
            await town.invitations.accept(token, "Mara", PASSWORD, HERE)
        await town.invitations.accept(token, "Mara", PASSWORD, HERE, code(town, secret))

    asyncio.run(scene())


def test_recovery_codes_work_once_each(town: Town) -> None:
    async def scene() -> None:
        _, _, codes = await enabled(town)
        assert len(set(codes)) == 10
        await log_in(town, codes[0].upper())
        with pytest.raises(Unauthenticated):
            await log_in(town, codes[0])
        await log_in(town, codes[1].replace("-", ""))

    asyncio.run(scene())


def test_guessing_codes_gets_slow(town: Town) -> None:
    async def scene() -> None:
        _, secret, _ = await enabled(town)
        for _ in range(10):
            with pytest.raises(Unauthenticated):
                await log_in(town, "000000")
        with pytest.raises(Throttled):
            await log_in(town, code(town, secret))
        town.passed_s += 2.1
        await log_in(town, code(town, secret))

    asyncio.run(scene())


def test_it_is_removed_with_a_last_code(town: Town) -> None:
    async def scene() -> None:
        user_id, secret, _ = await enabled(town)
        with pytest.raises(Conflict):
            await town.second.begin(user_id)
        with pytest.raises(InvalidInput):
            await town.second.remove(user_id, "000000")
        await town.second.remove(user_id, code(town, secret))
        await log_in(town, None)

    asyncio.run(scene())


def test_the_secret_is_sealed_in_the_database(town: Town) -> None:
    async def scene() -> bytes:
        return (await enabled(town))[1]

    secret = asyncio.run(scene())
    stored = town.db.run_sync(lambda session: session.execute(text("SELECT totp_secret FROM users")).scalar_one())
    assert secret not in stored
    vault = Vault(SECRET)
    assert vault.open(stored, "totp of user 1") == secret
    for wrong, context in ((stored, "totp of user 2"), (stored[:-1] + b"\0", "totp of user 1")):
        with pytest.raises(Rejected):
            vault.open(wrong, context)
    with pytest.raises(Rejected):
        Vault(bytes(32)).open(stored, "totp of user 1")
