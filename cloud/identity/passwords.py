"""Passwords: argon2id in a small pool of threads, so that log-ins neither stop the event loop nor fill the memory."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cloud.http.problem import InvalidInput

MIN_LENGTH, MAX_LENGTH = 12, 200
_AT_ONCE = 2


def check_password(password: str, email: str, path: str = "$.password") -> None:
    """`InvalidInput` for a password that is too short, too plain, or the address itself."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise InvalidInput(path, f"{MIN_LENGTH} to {MAX_LENGTH} characters")
    if len(set(password)) < 5:
        raise InvalidInput(path, "more than a few different characters")
    if email.partition("@")[0] in password.lower() and len(password) < 2 * MIN_LENGTH:
        raise InvalidInput(path, "a password that is not made of the e-mail address")


class Passwords:
    """Hashes and verifies. The defaults are RFC 9106's for little memory: 64 MiB and some 50 ms a log-in."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
        # Verified when there is no such user, so that the time tells nothing.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """The hash to store."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is right; takes as long when there is no hash."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._verify, password_hash, password)

    def _verify(self, password_hash: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash or self._nobody, password) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=True)
