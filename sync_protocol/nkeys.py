"""NATS keys as text: base32 of a kind, 32 bytes of Ed25519 and a CRC-16. Signing is left to who holds a key.

The kind is a public key's first letter: O an operator, A an account, U a user. A seed begins with S and the kind.
"""

from base64 import b32decode, b32encode
import binascii
from typing import Literal

from sync_protocol.errors import Invalid

Kind = Literal["O", "A", "U"]

KEY_BYTES = 32
_KINDS: dict[Kind, int] = {"O": 14 << 3, "A": 0, "U": 20 << 3}
_SEED = 18 << 3


def encode_public(kind: Kind, key: bytes) -> str:
    """Text of a public key: 56 characters."""
    return _encode(bytes([_KINDS[kind]]), key)


def decode_public(text: str, kind: Kind) -> bytes:
    """The 32 bytes of a public key; `Invalid` when the text is not one of this kind."""
    return _decode(text, bytes([_KINDS[kind]]), f"public key of kind {kind}")


def encode_seed(kind: Kind, key: bytes) -> str:
    """Text of a private key's seed: 58 characters, a secret."""
    return _encode(_seed_head(kind), key)


def decode_seed(text: str, kind: Kind) -> bytes:
    """The 32 bytes of a seed; `Invalid`, without the text, when it is not one of this kind."""
    return _decode(text, _seed_head(kind), f"seed of kind {kind}")


def _seed_head(kind: Kind) -> bytes:
    """The kind's eight bits stand behind five of the seed's own."""
    return bytes([_SEED | _KINDS[kind] >> 5, (_KINDS[kind] & 31) << 3])


def _encode(head: bytes, key: bytes) -> str:
    if len(key) != KEY_BYTES:
        raise Invalid(f"key: expected {KEY_BYTES} bytes, got {len(key)}")
    raw = head + key
    return b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")


def _decode(text: str, head: bytes, what: str) -> bytes:
    try:
        raw = b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise Invalid(f"{what}: not base32") from None
    body = raw[:-2]
    is_right = len(body) == len(head) + KEY_BYTES and body.startswith(head)
    # Encoded again, since base32 with padding bits has several texts for one key.
    if not is_right or _encode(head, body[len(head) :]) != text:
        raise Invalid(f"{what}: not one, or mistyped")
    return body[len(head) :]
