"""What device and cloud say to each other over HTTPS when a device comes in, and when it asks for a new token.

The device proves that it holds its private key by signing what `to_sign` puts together, a challenge of the cloud's
among it: so its clock, which may be years off, plays no part.
"""

from hashlib import sha256
import re
from typing import Annotated

import msgspec

from sync_protocol.errors import Invalid

PATH = "/api/v1/enrolments"
CODE_CHARACTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 16
_CODE = re.compile(f"[{CODE_CHARACTERS}]{{{CODE_LENGTH}}}")

Text = Annotated[str, msgspec.Meta(max_length=200)]


class Challenge(msgspec.Struct, frozen=True):
    """Bytes of the cloud's to sign, good for a few minutes."""

    challenge: str


class EnrolmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device wants in. `public_key` is its NKEY of kind U; `name` a wish; `signature` hexadecimal."""

    code: Text
    public_key: Text
    challenge: Text
    signature: Text
    name: Text = ""


class RenewalRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device that is in wants a new token; also long after the last one has ended."""

    public_key: Text
    challenge: Text
    signature: Text


class Enrolled(msgspec.Struct, frozen=True):
    """A device is in. `token` is for the broker, until `expires_utc_ms`; `authority` is PEM.

    `command_keys` are Ed25519 public keys in hexadecimal: numbers 1 and 2 of those that may sign a command.
    """

    tenant: str
    device: str
    token: str
    expires_utc_ms: int
    utc_ms: int
    nats_urls: tuple[str, ...]
    authority: str
    command_keys: tuple[str, ...]


def to_sign(challenge: str, public_key: str, code: str = "", name: str = "") -> bytes:
    """What the device signs. Without a code: for a renewal."""
    parts = ("milepost-enrolment-1", challenge, public_key, code, name)
    return sha256(b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)).digest()


def read_code(text: str) -> str:
    """A claim code as it is hashed and signed, from what a person has typed; `Invalid` when it cannot be one."""
    code = re.sub(r"[\s-]", "", text).upper()
    if not _CODE.fullmatch(code):
        raise Invalid(f"claim code: expected {CODE_LENGTH} letters and digits, such as 7K3M-9QXP-2WDT-HF4R")
    return code


def write_code(code: str) -> str:
    """A claim code in groups of four, for people."""
    return "-".join(code[at : at + 4] for at in range(0, len(code), 4))
