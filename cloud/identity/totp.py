"""One-time codes by time: RFC 6238 with SHA-1, six digits, thirty seconds, as every authenticator app has it."""

from base64 import b32encode
from hashlib import sha1
import hmac
import secrets
from urllib.parse import quote, urlencode

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
# A code of the step before or after is good too: clocks of telephones differ.
_AROUND = 1


def new_secret() -> bytes:
    """A random secret for one person."""
    return secrets.token_bytes(SECRET_BYTES)


def code(secret: bytes, step: int) -> str:
    """The code of a step (seconds of UTC by `STEP_S`)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), sha1)
    at = digest[-1] & 0x0F
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(secret: bytes, given: str, now_s: float, last_step: int) -> int | None:
    """The step that a code is of, None when it is wrong or no newer than the step used last: a code works once."""
    here = int(now_s // STEP_S)
    for step in range(here - _AROUND, here + _AROUND + 1):
        if hmac.compare_digest(code(secret, step).encode(), given.encode()) and step > last_step:
            return step
    return None


def readable(secret: bytes) -> str:
    """A secret for typing it into an app."""
    return b32encode(secret).decode("ascii").rstrip("=")


def uri(secret: bytes, email: str) -> str:
    """A secret for a QR code."""
    words = {"secret": readable(secret), "issuer": "Milepost", "digits": DIGITS, "period": STEP_S}
    return f"otpauth://totp/Milepost:{quote(email)}?{urlencode(words)}"
