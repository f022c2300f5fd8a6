"""Tokens hold for as long as they say, and only ours do."""

from datetime import timedelta
from pathlib import Path
import stat

import jwt
import pytest

from cloud.identity.tokens import ACCESS_LIFE, Tokens, load_secret
from sync_protocol.errors import ConfigError
from tests.support.people import NOW, SECRET

SESSION = "0f" * 16


class Clocked:
    def __init__(self) -> None:
        self.now = NOW
        self.tokens = Tokens(SECRET, lambda: self.now)


def test_an_access_token_ends_after_ten_minutes() -> None:
    at = Clocked()
    token = at.tokens.access(SESSION, 7)
    at.now += ACCESS_LIFE - timedelta(seconds=1)
    assert at.tokens.read_access(token) == SESSION
    at.now += timedelta(seconds=1)
    assert at.tokens.read_access(token) is None


def test_altered_and_foreign_access_tokens_are_nothing() -> None:
    at = Clocked()
    token = at.tokens.access(SESSION, 7)
    head, body, mac = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    others = [
        "", "x", token[:-2], f"{head}.{body}.", f"{head}.{body[:-2]}AA.{mac}",
        Tokens(b"\x01" * 32, lambda: NOW).access(SESSION, 7),
        jwt.encode(claims, "", "none"),
        jwt.encode(claims, SECRET, "HS256"),
        at.tokens.refresh(SESSION, 1),
    ]  # fmt: skip
    assert [at.tokens.read_access(other) for other in others] == [None] * len(others)


def test_a_refresh_token_says_its_generation_and_cannot_be_made_up() -> None:
    at = Clocked()
    token = at.tokens.refresh(SESSION, 3)
    assert at.tokens.read_refresh(token) == (SESSION, 3)
    session, _, mac = token.split(".")
    others = [f"{session}.4.{mac}", f"{'1f' * 16}.3.{mac}", f"{session}.3.{'0' * 64}", f"{session}.03.{mac}", "", "..."]
    assert [at.tokens.read_refresh(other) for other in others] == [None] * len(others)
    assert Tokens(b"\x01" * 32, lambda: NOW).read_refresh(token) is None


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "identity" / "people.key"
    secret = load_secret(path)
    assert len(secret) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_secret(path) == secret


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (bytes(range(32)), 0o640, "only its owner"),
        (b"secret", 0o600, "random bytes"),
        (b"a" * 64, 0o600, "random bytes"),
    ],
)
def test_a_weak_secret_is_refused(tmp_path: Path, content: bytes, mode: int, told: str) -> None:
    path = tmp_path / "people.key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=told):
        load_secret(path)
