"""NATS keys against a pair that the NATS documentation prints, and what a token may not say."""

import pytest

from cloud.enrolment.keys import Key, check_signature
from cloud.enrolment.nats_jwt import claims, device_jwt, fleet_jwt, operator_jwt, system_jwt
from sync_protocol.errors import Denied, Invalid
from sync_protocol.nkeys import decode_public, decode_seed, encode_public

SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
PUBLIC = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"


def test_the_pair_of_the_documentation() -> None:
    key = Key.from_seed(SEED, "U")
    assert key.public == PUBLIC
    assert key.seed == SEED
    assert encode_public("U", decode_public(PUBLIC, "U")) == PUBLIC


@pytest.mark.parametrize("kind", ["O", "A", "U"])
def test_each_kind_begins_with_its_letter(kind: str) -> None:
    key = Key.make(kind)
    assert key.public[0] == kind
    assert key.seed[:2] == f"S{kind}"
    assert len(key.public) == 56
    assert len(key.seed) == 58


@pytest.mark.parametrize(
    "text",
    [
        "",
        "U",
        PUBLIC[:-1],
        PUBLIC + "A",
        PUBLIC.lower(),
        PUBLIC.replace("4", "5"),
        PUBLIC[:20] + "*" + PUBLIC[21:],
        "Ü" * 56,
        Key.from_seed(SEED, "U").seed,
        Key.make("A").public,
    ],
    # The names of tests are the same in every process that collects them; a fresh key's is not.
    ids=["nothing", "prefix", "short", "long", "small", "digits", "star", "umlauts", "seed", "account"],
)
def test_what_is_no_public_key_of_a_user(text: str) -> None:
    with pytest.raises(Invalid):
        decode_public(text, "U")


def test_a_seed_with_other_padding_bits_is_not_the_seed() -> None:
    with pytest.raises(Invalid, match="seed of kind U") as caught:
        decode_seed(SEED[:-1] + "Z", "U")
    assert SEED[2:10] not in str(caught.value)


def test_a_signature_fits_one_key_and_one_text() -> None:
    key, other = Key.make("U"), Key.make("U")
    signature = key.sign(b"text")
    check_signature(key.public, "U", signature, b"text")
    for public, data, signed in (
        (other.public, b"text", signature),
        (key.public, b"texts", signature),
        (key.public, b"text", b"short"),
    ):
        with pytest.raises(Denied):
            check_signature(public, "U", signed, data)


@pytest.mark.parametrize(
    ("tenant", "device"),
    [("*", "a"), ("a", "*"), ("a", ">"), ("a.b", "a"), ("", "a"), ("a", "A"), ("a", "a" * 64), ("a", "a\n")],
)
def test_a_name_that_is_a_wildcard_gets_no_token(tenant: str, device: str) -> None:
    key = Key.make("A")
    with pytest.raises(Invalid):
        device_jwt(key, key.public, PUBLIC, tenant, device, 1, 2)


def test_tokens_say_what_they_must() -> None:
    operator, signing, account, devices = Key.make("O"), Key.make("O"), Key.make("A"), Key.make("A")
    device = claims(device_jwt(devices, account.public, PUBLIC, "acme", "van-1", 10, 20))
    assert (device["name"], device["sub"], device["iat"], device["exp"]) == ("van-1", PUBLIC, 10, 20)
    assert device["nats"] == {
        "type": "user", "version": 2, "issuer_account": account.public, "tags": ["tenant:acme"]
    }  # fmt: skip
    own = claims(operator_jwt(operator, signing.public, account.public, 1))
    assert own["nats"]["signing_keys"] == [signing.public]
    assert "mem_storage" not in claims(system_jwt(signing, account.public, devices.public, 1))["nats"]["limits"]
    fleet = claims(fleet_jwt(signing, account.public, PUBLIC, devices.public, {PUBLIC: 5}, 1))
    assert fleet["iss"] == signing.public
    assert fleet["nats"]["revocations"] == {PUBLIC: 5}
    with pytest.raises(Invalid):
        claims("a.b.c")
