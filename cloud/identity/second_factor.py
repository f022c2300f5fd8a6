"""The second factor: codes of an authenticator app, and recovery codes for the day the telephone is gone."""

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
import secrets

from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.http.problem import InvalidInput, Unauthenticated
from cloud.identity import totp
from cloud.identity.tables import User
from cloud.identity.throttle import Throttle
from cloud.identity.vault import Vault
from sync_protocol.errors import Conflict

RECOVERY_CODES = 10
FREE_TRIES = 10
NEEDED = "one-time-code-needed"
_WRONG = "The one-time code is wrong, or was used already."
log = structlog.get_logger()


class SecondFactor:
    """Of all users. A second factor counts once its first code was right."""

    def __init__(
        self, db: Database, vault: Vault, clock: Callable[[], datetime], passed_s: Callable[[], float]
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        # By person, wherever the tries come from: who gets here knows the password already.
        self._throttle = Throttle(passed_s, FREE_TRIES)

    async def begin(self, user_id: int) -> tuple[bytes, str]:
        """A new secret and its URI; it counts after `confirm`. `Conflict` when one counts already."""
        secret = totp.new_secret()

        def write(session: Session) -> str:
            user = session.get_one(User, user_id)
            if user.totp_since is not None:
                raise Conflict("You have a second factor already: remove it first.")
            user.totp_secret, user.totp_step = self._vault.seal(secret, _context(user_id)), 0
            return user.email

        return secret, totp.uri(secret, await self._db.write(write))

    async def confirm(self, user_id: int, given: str) -> list[str]:
        """From now on it counts. Returns the recovery codes, which are shown this once."""
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]

        def write(session: Session) -> None:
            user = session.get_one(User, user_id)
            if user.totp_since is not None:
                raise Conflict("You have a second factor already.")
            step = self._step(user, given)
            if step is None:
                raise InvalidInput("$.code", "the six digits that the app shows now")
            user.totp_since, user.totp_step = self._clock(), step
            user.recovery_hashes = [_hash(one) for one in codes]

        await self._db.write(write)
        log.info("second_factor_added", user_id=user_id)
        return codes

    async def remove(self, user_id: int, given: str) -> None:
        """It counts no more; asks for a last code. `Conflict` when there is none."""
        if not await self.counts(user_id):
            raise Conflict("You have no second factor.")
        try:
            await self.prove(user_id, given)
        except Unauthenticated:
            raise InvalidInput("$.code", "a one-time code or a recovery code of yours") from None

        def write(session: Session) -> None:
            user = session.get_one(User, user_id)
            user.totp_secret = user.totp_since = user.recovery_hashes = None

        await self._db.write(write)
        log.info("second_factor_removed", user_id=user_id)

    async def counts(self, user_id: int) -> bool:
        """Whether this user needs a code to log in."""
        return await self._db.run(lambda session: session.get_one(User, user_id).totp_since is not None)

    async def prove(self, user_id: int, given: str | None) -> None:
        """`Unauthenticated` unless the user needs no code, or this is a good one; each code works once."""
        if not await self.counts(user_id):
            return
        if not given:
            raise Unauthenticated("A one-time code is needed too.", NEEDED)
        self._throttle.attempt(user_id)

        def write(session: Session) -> bool:
            user = session.get_one(User, user_id)
            step = self._step(user, given)
            if step is not None:
                user.totp_step = step
                return True
            hashes = user.recovery_hashes or []
            if _hash(given) not in hashes:
                return False
            user.recovery_hashes = [one for one in hashes if one != _hash(given)]
            log.info("recovery_code_used", user_id=user_id, left=len(hashes) - 1)
            return True

        if not await self._db.write(write):
            raise Unauthenticated(_WRONG, NEEDED)
        self._throttle.succeeded(user_id)

    def _step(self, user: User, given: str) -> int | None:
        if user.totp_secret is None:
            raise Conflict("There is no second factor to confirm: begin with a new one.")
        secret = self._vault.open(user.totp_secret, _context(user.id))
        return totp.matching_step(secret, given.replace(" ", ""), self._clock().timestamp(), user.totp_step)


def _context(user_id: int) -> str:
    return f"totp of user {user_id}"


def _recovery_code() -> str:
    word = secrets.token_hex(8)
    return f"{word[:4]}-{word[4:8]}-{word[8:12]}-{word[12:]}"


def _hash(code: str) -> str:
    return sha256(code.strip().lower().replace("-", "").encode()).hexdigest()
