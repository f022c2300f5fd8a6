"""Access tokens (JWT, ten minutes) and refresh tokens, both made with keys derived from one secret file.

A refresh token is `<session>.<generation>.<mac>`: nothing of it is stored but the generation that is good, a stolen
database makes none, and the same generation can be given out again when an answer was lost on its way.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
import hmac
from pathlib import Path
import re
import secrets
from typing import NamedTuple

import jwt

from sync_protocol.errors import ConfigError
from sync_protocol.secret_files import write_secret

ACCESS_LIFE = timedelta(minutes=10)
ISSUER = "milepost"
SECRET_BYTES = 32
_ALGORITHM = "HS256"
_REFRESH = re.compile(r"([0-9a-f]{32})\.([1-9][0-9]{0,8})\.([0-9a-f]{64})")


class Refresh(NamedTuple):
    """A refresh token that we have made."""

    session_id: str
    generation: int


def load_secret(path: Path) -> bytes:
    """The secret of this service, made at the first start. `ConfigError` for one that others may read or guess."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(path, secrets.token_bytes(SECRET_BYTES))
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path}: expected a file that only its owner may read (chmod 600)")
    secret = path.read_bytes()
    if len(secret) < SECRET_BYTES or len(set(secret)) < SECRET_BYTES // 2:
        raise ConfigError(f"{path}: expected {SECRET_BYTES} random bytes; delete it and a good one is made")
    return secret


class Tokens:
    """Makes and reads both kinds of tokens."""

    def __init__(self, secret: bytes, clock: Callable[[], datetime]) -> None:
        self._access_key = hmac.digest(secret, b"milepost access token", sha256)
        self._refresh_key = hmac.digest(secret, b"milepost refresh token", sha256)
        self._clock = clock

    def access(self, session_id: str, user_id: int) -> str:
        """A new access token of a session."""
        now = self._clock()
        claims = {"iss": ISSUER, "sub": str(user_id), "sid": session_id, "iat": now, "exp": now + ACCESS_LIFE}
        return jwt.encode(claims, self._access_key, _ALGORITHM)

    def read_access(self, token: str) -> str | None:
        """The session of an access token that is whole and holds; None for any other text."""
        try:
            claims = jwt.decode(
                token,
                self._access_key,
                [_ALGORITHM],
                issuer=ISSUER,
                # Compared with our own clock below.
                options={"require": ["exp", "sid"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        session_id, expires = claims["sid"], claims["exp"]
        holds = isinstance(session_id, str) and isinstance(expires, int) and self._clock().timestamp() < expires
        return session_id if holds else None

    def refresh(self, session_id: str, generation: int) -> str:
        """The refresh token of a generation of a session."""
        return f"{session_id}.{generation}.{self._mac(session_id, generation)}"

    def read_refresh(self, token: str) -> Refresh | None:
        """What a refresh token says, None when we have not made it."""
        found = _REFRESH.fullmatch(token)
        if found is None or not hmac.compare_digest(found[3], self._mac(found[1], int(found[2]))):
            return None
        return Refresh(found[1], int(found[2]))

    def _mac(self, session_id: str, generation: int) -> str:
        return hmac.new(self._refresh_key, f"{session_id}.{generation}".encode(), sha256).hexdigest()
