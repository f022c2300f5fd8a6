"""Who comes in, by which code, as what; who stays in; who is locked out."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from cloud.config import RegistryConfig
from cloud.enrolment import claims, device_keys
from cloud.enrolment.challenges import LIFE_S, Challenges
from cloud.enrolment.enrolment import device_word
from cloud.enrolment.keys import Key
from cloud.enrolment.nats_jwt import claims as said
from cloud.enrolment.payloads import ClaimRequest
from cloud.fleet.registry import FleetRegistry
from sync_protocol.enrolment import RenewalRequest, read_code, to_sign, write_code
from sync_protocol.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from tests.support.devices import Office, enrolment
from tests.support.engines import ENGINES


@pytest.fixture(scope="module", params=ENGINES)
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    peer = request.getfixturevalue("postgres") if request.param == "postgres" else None
    url = None if peer is None else peer.database()
    made = Office(tmp_path_factory.mktemp("office"), url)
    yield made
    made.db.close()
    if peer is not None:
        peer.empty(url)


def test_a_code_lets_one_device_in_once(office: Office) -> None:
    async def work() -> None:
        code, key = await office.code(office.acme), Key.make("U")
        answer = await office.enrol(code, key, "Van 01!")
        assert (answer.tenant, answer.device) == ("acme", "van-01")
        token = said(answer.token)
        assert (token["sub"], token["name"], token["nats"]["tags"]) == (key.public, "van-01", ["tenant:acme"])
        assert token["exp"] * 1000 == answer.expires_utc_ms
        assert answer.command_keys == office.ring.facts.command_keys
        again = await office.enrol(code, key, "Van 01!")
        assert (again.device, again.tenant) == (answer.device, answer.tenant), "the answer had not arrived"
        with pytest.raises(Denied, match="not good"):
            await office.enrol(code, Key.make("U"))
        with pytest.raises(Conflict, match="make a new one"):
            await office.enrol(await office.code(office.other), key)
        assert office.registry.device("acme", "van-01") is not None

    asyncio.run(work())


def test_codes_that_let_nobody_in(office: Office) -> None:
    async def work() -> None:
        old, cancelled = await office.code(office.acme, days=1), await office.code(office.acme)
        view = (await office.enrolling.of(office.acme).run(claims.list_codes))[0]
        assert (view.hint, cancelled.startswith(view.hint), view.code_hash.startswith(view.hint)) == (
            cancelled[:4], True, False,
        )  # fmt: skip
        with pytest.raises(NotFound):
            await office.enrolling.of(office.other).write(lambda session: claims.cancel_code(session, view.id))
        for number in (0, -1, 1 << 63, 10**30):
            with pytest.raises(NotFound):
                await office.enrolling.of(office.acme).write(lambda session, n=number: claims.cancel_code(session, n))
        await office.enrolling.of(office.acme).write(lambda session: claims.cancel_code(session, view.id))
        office.later(days=1)
        told = set()
        for code in (old, cancelled, "2" * 16):
            with pytest.raises(Denied) as refused:
                await office.enrol(code, Key.make("U"))
            told.add(str(refused.value))
        assert len(told) == 1, "nobody learns which of them was one"
        with pytest.raises(Invalid):
            await office.enrol("2" * 15, Key.make("U"))

    asyncio.run(work())


def test_without_the_private_key_nobody_comes_in(office: Office) -> None:
    async def work() -> None:
        code, key = await office.code(office.acme), Key.make("U")
        challenge = office.enrolling.challenges.make()
        good = enrolment(challenge, code, key)
        for change in (
            {"signature": Key.make("U").sign(to_sign(challenge, key.public, code, "van")).hex()},
            {"signature": key.sign(to_sign(challenge, key.public)).hex()},
            {"signature": "00" * 64},
            {"name": "another"},
            {"challenge": office.enrolling.challenges.make()},
            {"public_key": Key.make("U").public},
        ):
            with pytest.raises(Denied):
                await office.enrolling.enrolment.enrol(msgspec.structs.replace(good, **change))
        for change in ({"signature": "x"}, {"public_key": Key.make("A").public}, {"public_key": "*"}):
            with pytest.raises(Invalid):
                await office.enrolling.enrolment.enrol(msgspec.structs.replace(good, **change))
        await office.enrolling.enrolment.enrol(good)
        stolen = RenewalRequest(key.public, challenge, good.signature)
        with pytest.raises(Denied):
            await office.enrolling.enrolment.renew(stolen)

    asyncio.run(work())


def test_challenges_are_ours_and_fresh() -> None:
    now_s = [100.0]
    ours = Challenges(lambda: now_s[0])
    challenge = ours.make()
    ours.check(challenge)
    text, _, seal = challenge.rpartition(".")
    for wrong in ("", "x", f"1{text}.{seal}", f"{text}.{seal[:-1]}é", Challenges(lambda: 100.0).make()):
        with pytest.raises(Denied, match="ask for a new one"):
            ours.check(wrong)
    now_s[0] += LIFE_S + 1
    with pytest.raises(Denied, match="ask for a new one"):
        ours.check(challenge)


def test_a_device_is_renewed_after_years_and_never_once_locked_out(office: Office) -> None:
    async def work() -> None:
        key = Key.make("U")
        first = await office.enrol(await office.code(office.acme), key, "renewed")
        office.later(days=900)
        answer = await office.renew(key)
        assert answer.expires_utc_ms > first.expires_utc_ms
        assert answer.device == first.device
        device = office.enrolling.device(office.acme, first.device)
        with pytest.raises(Unavailable, match="the broker cannot be reached"):
            await office.enrolling.revoke(device)  # nobody holds the link here; what counts is written
        revoked = office.db.run_sync(lambda session: device_keys.revocations(session, office.now))
        assert revoked[key.public] > int(office.now.timestamp())
        assert key.public in said(office.enrolling.identity.fleet_jwt())["nats"]["revocations"]  # type: ignore[union-attr]
        with pytest.raises(Denied, match="new claim code"):
            await office.renew(key)
        with pytest.raises(Denied):
            await office.renew(Key.make("U"))
        office.later(days=30)
        revoked = office.db.run_sync(lambda session: device_keys.revocations(session, office.now))
        assert key.public not in revoked, "its last token has ended by itself"

    asyncio.run(work())


def test_a_device_in_the_place_of_another(office: Office) -> None:
    async def work() -> None:
        old = await office.enrol(await office.code(office.acme), Key.make("U"), "old")
        ref = office.enrolling.device(office.acme, old.device)
        vehicle = office.registry.vehicle_of(ref.id)
        assert vehicle is not None
        with pytest.raises(NotFound):
            await office.code(office.other, vehicle)
        new = await office.enrol(await office.code(office.acme, vehicle), Key.make("U"), "old")
        assert new.device == "old-2"
        successor = office.enrolling.device(office.acme, new.device)
        assert office.registry.vehicle_of(successor.id) == vehicle
        assert office.registry.device_of(vehicle) == successor
        assert office.registry.vehicle_of(ref.id) is None
        assert office.registry.vehicle_at(ref.id, 1_000_000) == vehicle, "what it measured stays"

        office.later(seconds=5)
        elsewhere = office.registry.vehicle_of(
            office.enrolling.device(
                office.acme, (await office.enrol(await office.code(office.acme), Key.make("U"), "third")).device
            ).id
        )
        with pytest.raises(NotFound):
            await office.enrolling.move(office.enrolling.device(office.acme, "third"), 999)
        await office.enrolling.move(successor, elsewhere)
        assert office.registry.vehicle_of(successor.id) == elsewhere

        await office.enrolling.remove(successor)
        with pytest.raises(NotFound):
            office.enrolling.device(office.acme, new.device)
        assert office.registry.vehicle_of(successor.id) is None
        fourth = await office.enrol(await office.code(office.acme), Key.make("U"), "old-2")
        assert fourth.device == "old-2-2", "the name stays taken: history is told by it"
        again = FleetRegistry(office.db, RegistryConfig(), is_demo=False)
        again.load()
        assert again.device_named(office.acme, new.device) is None
        assert again.device_named(office.acme, "old-2-2") == office.registry.device_named(office.acme, "old-2-2")
        assert again.device("acme", new.device) is not None, "what it had sent before is still taken"

    asyncio.run(work())


def test_what_is_made_is_counted_and_bounded() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"count": 1001}, ClaimRequest)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"days": 91}, ClaimRequest)


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ("Van 01", "van-01"),
        ("", "device"),
        ("*", "device"),
        ("f.acme.>", "f-acme"),
        ("x" * 90, "x" * 48),
        ("Ä_b-", "b"),
    ],
)
def test_a_wish_becomes_a_word_of_subjects(wish: str, word: str) -> None:
    assert device_word(wish) == word


def test_codes_as_people_type_them() -> None:
    code = "7K3M9QXP2WDTHF4R"
    assert write_code(code) == "7K3M-9QXP-2WDT-HF4R"
    assert read_code(" 7k3m-9qxp 2wdt-hf4r\n") == code
    for wrong in ("", code[:-1], code + "2", code.replace("7", "1"), code.replace("K", "O")):
        with pytest.raises(Invalid, match="expected 16 letters and digits"):
            read_code(wrong)
