"""Challenges to sign: nothing is kept of them, they carry their own time and our seal."""

from collections.abc import Callable
import hmac
import secrets

from sync_protocol.errors import Denied

LIFE_S = 300
_FRESH = "The challenge is not ours or too old: ask for a new one."


class Challenges:
    """Good until the process ends or `LIFE_S` have passed. `clock` is seconds that do not step."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def make(self) -> str:
        """A new challenge."""
        text = f"{int(self._clock())}.{secrets.token_urlsafe(16)}"
        return f"{text}.{self._seal(text)}"

    def check(self, challenge: str) -> None:
        """`Denied` unless it is one of ours and fresh."""
        text, _, seal = challenge.rpartition(".")
        if not hmac.compare_digest(self._seal(text).encode(), seal.encode()):
            raise Denied(_FRESH)
        if self._clock() - int(text.partition(".")[0]) > LIFE_S:
            raise Denied(_FRESH)

    def _seal(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()
