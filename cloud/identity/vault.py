"""Secrets that must be read again, sealed at rest: AES-256-GCM with a key derived from the service's secret file."""

from hashlib import sha256
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sync_protocol.errors import Rejected

_NONCE_BYTES = 12


class Vault:
    """Seals and opens. `context` says what the secret is and whose: sealed for one place it opens at no other."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(secret, b"milepost vault", sha256))

    def seal(self, plain: bytes, context: str) -> bytes:
        """What to store."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """What was sealed; `Rejected` for anything altered, or sealed with another secret or for another place."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
        except InvalidTag as err:
            raise Rejected("a sealed secret does not open: the service's secret file is another one now") from err
