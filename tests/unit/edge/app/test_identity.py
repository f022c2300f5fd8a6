"""Who a device is: kept whole, read back, begun again; whom it believes; when it asks for a new token."""

import os
from pathlib import Path
import stat

import msgspec
import pytest

from edge.commands.loading import load
from edge.enrolment import Claim, EnrolmentClient, read_claim
from edge.identity import DeviceKey, Identity, begin, read_identity, write_identity
from edge.membership import Membership
from edge.uplink.tls import KnownTime
from sync_protocol.enrolment import Enrolled
from sync_protocol.errors import ConfigError, Invalid

CODE = "7K3M9QXP2WDTHF4R"


def identity(**changes: object) -> Identity:
    made = Identity(
        seed=DeviceKey.make().seed,
        api_url="https://fleet.example",
        api_authority=None,
        tenant="acme",
        device="van-1",
        token="a.b.c",
        issued_utc_ms=1_000_000,
        expires_utc_ms=3_000_000,
        nats_urls=("tls://fleet.example:4222",),
        authority="PEM",
        command_keys=("00" * 32,),
    )
    return msgspec.structs.replace(made, **changes)


def test_an_identity_is_kept_for_this_user_only(tmp_path: Path) -> None:
    assert read_identity(tmp_path) is None
    assert Membership.open(str(tmp_path)) is None
    key = begin(tmp_path, CODE)
    assert begin(tmp_path, CODE).seed == key.seed, "the answer may have been lost: asked again with the same key"
    assert begin(tmp_path, CODE[::-1]).seed != key.seed
    made = identity()
    write_identity(tmp_path, made)
    assert read_identity(tmp_path) == made
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ConfigError, match="damaged"):
        read_identity(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_what_root_enrolls_is_the_agents(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 12_345, 54_321)
    write_identity(folder, identity())
    (file,) = folder.iterdir()
    assert (file.stat().st_uid, file.stat().st_gid, stat.S_IMODE(file.stat().st_mode)) == (12_345, 54_321, 0o600)


def test_a_member_shows_its_token_and_signs_with_its_key(tmp_path: Path) -> None:
    made = identity()
    write_identity(tmp_path, made)
    member = Membership.open(str(tmp_path))
    assert member is not None
    assert (member.token(), member.authority) == (b"a.b.c", "PEM")
    assert member.answer("nonce") == DeviceKey(made.seed).answer("nonce") != member.answer("another")


@pytest.mark.parametrize(("utc_ms", "is_due"), [(0, False), (2_000_000, False), (2_000_001, True), (9_000_000, True)])
def test_a_token_is_renewed_at_half_of_its_life(tmp_path: Path, utc_ms: int, is_due: bool) -> None:
    assert Membership(tmp_path, identity()).is_due(KnownTime(utc_ms, is_certain=True)) is is_due


def test_what_a_newer_answer_changes() -> None:
    before = identity()
    answer = Enrolled("acme", "van-1", "d.e.f", 9, 5, ("tls://other:1",), "NEW", ("11" * 32,))
    after = before.renewed(answer)
    assert (after.token, after.issued_utc_ms, after.expires_utc_ms) == ("d.e.f", 5, 9)
    assert (after.nats_urls, after.authority, after.command_keys) == (("tls://other:1",), "NEW", ("11" * 32,))
    assert (after.seed, after.api_url, after.tenant) == (before.seed, before.api_url, before.tenant)
    assert after.api_authority is None
    assert identity(api_authority="PEM").renewed(answer).api_authority == "NEW"


def test_the_configuration_takes_who_it_is_from_the_identity(tmp_path: Path) -> None:
    file = tmp_path / "device.toml"
    file.write_text(f'state_dir = "{tmp_path}"\n')
    with pytest.raises(ConfigError, match=r"not enrolled.*\$\.tenant"):
        load(file)
    write_identity(tmp_path, identity())
    config = load(file)
    assert (config.tenant, config.device, config.uplink.url) == ("acme", "van-1", "tls://fleet.example:4222")
    file.write_text(f'state_dir = "{tmp_path}"\ntenant = "acme"\ndevice = "van-2"\n')
    with pytest.raises(ConfigError, match="enrolled as acme / van-1"):
        load(file)


def test_claims_as_they_are_handed_over() -> None:
    line = f"https://fleet.example:8443/enroll#code=7K3M-9QXP-2WDT-HF4R&ca={'ab' * 32}"
    assert read_claim(line, None) == Claim("https://fleet.example:8443", "7K3M-9QXP-2WDT-HF4R", "ab" * 32)
    assert read_claim("https://fleet.example", CODE) == Claim("https://fleet.example", CODE)
    assert read_claim(line, CODE).code == CODE
    for text, code in (("fleet.example", CODE), ("ftp://x", CODE), ("https://fleet.example", None), ("", None)):
        with pytest.raises(Invalid):
            read_claim(text, code)
    with pytest.raises(Invalid, match="64 hexadecimal digits"):
        read_claim("https://fleet.example/enroll#code=x&ca=ab", None)


def test_nothing_is_sent_in_the_clear_beyond_this_machine() -> None:
    EnrolmentClient("http://127.0.0.1:8080", None, None)
    EnrolmentClient("http://localhost:8080", None, None)
    for url in ("http://fleet.example", "http://10.0.0.1:8080"):
        with pytest.raises(Invalid, match="expected https"):
            EnrolmentClient(url, None, None)
