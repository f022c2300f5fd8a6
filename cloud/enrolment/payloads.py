"""What the API says of claim codes and of the identity of devices."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from sync_protocol.enrolment import write_code


class ClaimRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many codes, for which vehicle (none: each device brings a new one), good for how long."""

    count: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    vehicle_id: int | None = None
    days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 14


class NewClaim(msgspec.Struct, frozen=True):
    """A new claim code, shown this once. `payload` is what a QR code holds, and what `milepost enroll` takes whole."""

    id: int
    code: str
    payload: str
    vehicle_id: int | None
    expires: datetime


class NewClaims(msgspec.Struct, frozen=True):
    """New claim codes."""

    items: list[NewClaim]


class ClaimView(msgspec.Struct, frozen=True):
    """A claim code, of which only the beginning is known. `device_id`: who came in with it."""

    id: int
    begins: str
    vehicle_id: int | None
    made_by: str
    created: datetime
    expires: datetime
    used: datetime | None
    device_id: str | None


class Claims(msgspec.Struct, frozen=True):
    """Claim codes, newest first."""

    items: list[ClaimView]


class KeyView(msgspec.Struct, frozen=True):
    """A key of a device. `expires`: of its newest token. `cloned`: when two machines were last at work with it."""

    public_key: str
    enrolled: datetime
    issued: datetime
    expires: datetime
    revoked: datetime | None
    cloned: datetime | None
    connections: int


class DeviceIdentity(msgspec.Struct, frozen=True):
    """Who a device is to the broker. Without keys it is one of a demo, or imported, or was never let in."""

    device_id: str
    vehicle_id: int | None
    is_connected: bool
    is_cloned: bool
    keys: list[KeyView]


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The vehicle that a device sits in from now on; null: in none."""

    vehicle_id: int | None


class Authority(msgspec.Struct, frozen=True):
    """The authority that has signed the certificates of broker and API."""

    pem: str
    sha256: str


def claim_payload(url: str, code: str, authority_sha256: str | None) -> str:
    """A claim as one line: the code stands behind the `#`, so that a browser which opens it sends it to nobody."""
    words = {"code": write_code(code)} | ({"ca": authority_sha256} if authority_sha256 else {})
    return f"{url}/enroll#{urlencode(words)}"
