"""Who this device is, once it has come in: one file in the state directory, written whole or not at all.

The private key is made here, lies in this file, which only the agent's user may read, and never leaves the device.
"""

from base64 import b64encode
import os
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
import msgspec

from sync_protocol import nkeys
from sync_protocol.enrolment import Enrolled
from sync_protocol.errors import ConfigError, Invalid
from sync_protocol.secret_files import write_secret

_FILE, _PENDING = "identity.json", "enrolment.json"
T = TypeVar("T")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What the cloud has answered, with the key it answered to. `api_url` is where the next token comes from.

    `authority` (PEM) has signed the broker's certificate, `api_authority` the API's; None: one that the system knows.
    """

    seed: str
    api_url: str
    api_authority: str | None
    tenant: str
    device: str
    token: str
    issued_utc_ms: int
    expires_utc_ms: int
    nats_urls: tuple[str, ...]
    authority: str
    command_keys: tuple[str, ...]

    def renewed(self, answer: Enrolled) -> "Identity":
        """The same device with what a newer answer says."""
        return msgspec.structs.replace(
            self,
            token=answer.token,
            issued_utc_ms=answer.utc_ms,
            expires_utc_ms=answer.expires_utc_ms,
            nats_urls=answer.nats_urls,
            authority=answer.authority,
            # One private authority signs for both; one that the system knows needs no telling.
            api_authority=None if self.api_authority is None else answer.authority,
            command_keys=answer.command_keys,
        )


class Pending(msgspec.Struct, frozen=True):
    """An enrolment that has begun: asked again with the same key, in case that only the answer was lost."""

    code: str
    seed: str


class DeviceKey:
    """The device's key pair."""

    def __init__(self, seed: str) -> None:
        """`Invalid` when the seed is none."""
        self.seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(nkeys.decode_seed(seed, "U"))
        self.public = nkeys.encode_public("U", self._private.public_key().public_bytes_raw())

    @classmethod
    def make(cls) -> "DeviceKey":
        """A new one."""
        return cls(nkeys.encode_seed("U", os.urandom(nkeys.KEY_BYTES)))

    def sign(self, data: bytes) -> bytes:
        """64 bytes of signature."""
        return self._private.sign(data)

    def answer(self, nonce: str) -> bytes:
        """The signature of the broker's nonce, as its protocol wants it."""
        return b64encode(self.sign(nonce.encode()))


def read_identity(state_dir: Path) -> Identity | None:
    """The identity, None before the device has come in. `ConfigError` when the file is no good."""
    return _read(state_dir / _FILE, Identity)


def write_identity(state_dir: Path, identity: Identity) -> None:
    """Keep an identity, instead of the one before; an enrolment that was begun is then over."""
    write_secret(state_dir / _FILE, msgspec.json.encode(identity))
    (state_dir / _PENDING).unlink(missing_ok=True)


def begin(state_dir: Path, code: str) -> DeviceKey:
    """The key for an enrolment with this code: made and kept before anybody hears of it."""
    path = state_dir / _PENDING
    pending = _read(path, Pending)
    if pending is not None and pending.code == code:
        return DeviceKey(pending.seed)
    key = DeviceKey.make()
    state_dir.mkdir(parents=True, exist_ok=True)
    write_secret(path, msgspec.json.encode(Pending(code, key.seed)))
    return key


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise ConfigError(f"{path}: {err.strerror}") from err
    except (msgspec.DecodeError, Invalid) as err:
        raise ConfigError(f"{path}: damaged ({err}); a new claim code and `milepost enroll` make another") from err
