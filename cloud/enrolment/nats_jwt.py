"""JSON web tokens of NATS, version 2: who is operator, account and user, and what a device may do.

A device's token says only its name and tenant. What it may do stands once, as a template in the account's scoped
signing key, so that no token can ask for more. Names with a wildcard in them would turn the template into one: they
are checked here, whoever asks.
"""

from base64 import b32encode, urlsafe_b64decode, urlsafe_b64encode
import binascii
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from cloud.enrolment.keys import Key
from sync_protocol.errors import Invalid
from sync_protocol.subjects import DEVICE_DOWN, DEVICE_UP, checked_id

_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_VERSION = 2
# A device listens on one subject; its largest message is a full bundle.
_DEVICE_SUBSCRIPTIONS = 2
_DEVICE_PAYLOAD_BYTES = 512 * 1024
_NO_LIMITS = {"subs": -1, "data": -1, "payload": -1}
_ACCOUNT_LIMITS = {"imports": 0, "exports": 0, "wildcards": False, "conn": -1, "leaf": 0}
_JETSTREAM_LIMITS = {
    "mem_storage": 0,
    "disk_storage": -1,
    "streams": -1,
    "consumer": -1,
    "mem_max_stream_bytes": -1,
    "disk_max_stream_bytes": -1,
}


def operator_jwt(operator: Key, signing: str, system_account: str, issued_s: int) -> str:
    """The operator's own token: `signing` (a public key) may sign accounts in its place."""
    nats = {"type": "operator", "system_account": system_account, "signing_keys": [signing]}
    return _mint(operator, operator.public, "milepost", nats, issued_s)


def system_jwt(operator: Key, account: str, signing: str, issued_s: int) -> str:
    """The system account, whose users (signed by `signing`) push accounts and see connections come and go."""
    nats = _account([signing], has_jetstream=False)
    return _mint(operator, account, "SYSTEM", nats, issued_s)


def fleet_jwt(
    operator: Key, account: str, service: str, devices: str, revoked: Mapping[str, int], issued_s: int
) -> str:
    """The account in which devices and service meet.

    `service` and `devices` are public signing keys: users of the first may do everything, those of the second what the
    template says. `revoked`: public keys of devices, with the second up to which tokens for them no longer hold.
    """
    template = {"pub": {"allow": [DEVICE_UP]}, "sub": {"allow": [DEVICE_DOWN]}, **_NO_LIMITS}
    template |= {"subs": _DEVICE_SUBSCRIPTIONS, "payload": _DEVICE_PAYLOAD_BYTES}
    scope = {"kind": "user_scope", "key": devices, "role": "device", "template": template}
    nats = _account([service, scope], has_jetstream=True)
    if revoked:
        nats["revocations"] = dict(revoked)
    return _mint(operator, account, "FLEET", nats, issued_s)


def service_jwt(signing: Key, account: str, user: str, name: str, issued_s: int) -> str:
    """A user of the service itself, in the fleet's or the system account."""
    nats = {"type": "user", "issuer_account": account, "pub": {}, "sub": {}, **_NO_LIMITS}
    return _mint(signing, user, name, nats, issued_s)


def device_jwt(signing: Key, account: str, user: str, tenant: str, device: str, issued_s: int, expires_s: int) -> str:
    """A device's token. `Invalid` when tenant or device are no ids: a wildcard in one would open other subjects."""
    tag = f"tenant:{checked_id(tenant, 'tenant')}"
    # The server refuses a token under a scoped key that carries limits of its own.
    nats = {"type": "user", "issuer_account": account, "tags": [tag]}
    return _mint(signing, user, checked_id(device, "device"), nats, issued_s, expires_s)


def claims(token: str) -> dict[str, Any]:
    """What a token says, unchecked; `Invalid` when it is none."""
    try:
        body = token.split(".")[1]
        found = msgspec.json.decode(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, binascii.Error, ValueError, msgspec.DecodeError):
        raise Invalid("not a NATS token") from None
    if not isinstance(found, dict):
        raise Invalid("not a NATS token")
    return found


def _account(signing_keys: list[Any], *, has_jetstream: bool) -> dict[str, Any]:
    limits = _NO_LIMITS | _ACCOUNT_LIMITS | (_JETSTREAM_LIMITS if has_jetstream else {})
    permissions: dict[str, Any] = {"pub": {}, "sub": {}}
    return {"type": "account", "limits": limits, "default_permissions": permissions, "signing_keys": signing_keys}


def _mint(
    issuer: Key, subject: str, name: str, nats: dict[str, Any], issued_s: int, expires_s: int | None = None
) -> str:
    body: dict[str, Any] = {"iat": issued_s, "iss": issuer.public, "name": name, "sub": subject}
    body["nats"] = nats | {"version": _VERSION}
    if expires_s is not None:
        body["exp"] = expires_s
    body["jti"] = b32encode(sha256(msgspec.json.encode(body)).digest()).decode().rstrip("=")
    signed = f"{_part(_HEADER)}.{_part(body)}"
    return f"{signed}.{_text(issuer.sign(signed.encode()))}"


def _part(value: Mapping[str, Any]) -> str:
    return _text(msgspec.json.encode(value))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
