"""Ed25519 key pairs under their NATS names, and checking signatures. `cryptography` ends here and in `certificates`."""

import os

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from sync_protocol import nkeys
from sync_protocol.errors import Denied
from sync_protocol.nkeys import KEY_BYTES, Kind


class Key:
    """A key pair. `public` is its name, `seed` its secret."""

    def __init__(self, kind: Kind, raw: bytes) -> None:
        self._kind: Kind = kind
        self._raw = raw
        self._private = Ed25519PrivateKey.from_private_bytes(raw)
        self.public_bytes = self._private.public_key().public_bytes_raw()
        self.public = nkeys.encode_public(kind, self.public_bytes)

    @classmethod
    def make(cls, kind: Kind) -> "Key":
        """A new key pair."""
        return cls(kind, os.urandom(KEY_BYTES))

    @classmethod
    def from_seed(cls, seed: str, kind: Kind) -> "Key":
        """The key pair of a seed; `Invalid` when it is none."""
        return cls(kind, nkeys.decode_seed(seed, kind))

    @property
    def seed(self) -> str:
        """The private key as text."""
        return nkeys.encode_seed(self._kind, self._raw)

    def sign(self, data: bytes) -> bytes:
        """64 bytes of signature."""
        return self._private.sign(data)


def check_signature(public: str, kind: Kind, signature: bytes, data: bytes) -> None:
    """`Denied` unless the holder of this public key has signed these bytes; `Invalid` when the key is none."""
    key = Ed25519PublicKey.from_public_bytes(nkeys.decode_public(public, kind))
    try:
        key.verify(signature, data)
    except InvalidSignature:
        raise Denied("the signature does not fit the public key") from None
