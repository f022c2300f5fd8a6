"""What the routes of people take and answer. Instants are UTC."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from cloud.identity.policy import Action, Role

Password = Annotated[str, msgspec.Meta(max_length=200)]
Otp = Annotated[str, msgspec.Meta(max_length=40)]


class TokenForm(msgspec.Struct, frozen=True):
    """OAuth 2 password grant, as a form. `tenant` chooses among several that the user belongs to.

    `otp`: a one-time or recovery code; the answer `/problems/one-time-code-needed` asks for it.
    """

    username: Annotated[str, msgspec.Meta(max_length=254)]
    password: Password
    grant_type: Literal["password"] = "password"  # the grant's name
    tenant: Annotated[str, msgspec.Meta(max_length=63)] | None = None
    otp: Otp | None = None


class AccessToken(msgspec.Struct, frozen=True):
    """For `Authorization: Bearer`. The refresh token comes as a cookie that scripts cannot read."""

    access_token: str
    expires_in: int
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # the type's name


class Ways(msgspec.Struct, frozen=True):
    """How to log in here. In a demo, `POST /auth/demo` is enough. `has_mail`: forgotten passwords can be mended."""

    is_demo: bool
    has_mail: bool


class Me(msgspec.Struct, frozen=True):
    """Who is logged in, for which tenant, and what the role includes."""

    id: int
    email: str
    name: str
    tenant: str
    role: Role
    actions: list[Action]
    is_demo: bool
    has_second_factor: bool
    session_id: str


class SessionView(msgspec.Struct, frozen=True):
    """A log-in that lasts. `is_current`: the one that asks."""

    id: str
    tenant: str
    created: datetime
    last_used: datetime
    expires: datetime
    agent: str
    address: str
    is_current: bool


class SessionList(msgspec.Struct, frozen=True):
    """The sessions of the caller, the one used last first."""

    items: list[SessionView]


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Email = Annotated[str, msgspec.Meta(max_length=254)]
LinkToken = Annotated[str, msgspec.Meta(max_length=100)]


class Member(msgspec.Struct, frozen=True):
    """Somebody who belongs to the tenant."""

    id: int
    name: str
    email: str
    role: Role
    is_disabled: bool


class Members(msgspec.Struct, frozen=True):
    """The members of the tenant, by name."""

    items: list[Member]


class RoleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The role that a member shall have."""

    role: Role


class InvitationOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to invite, and as what."""

    email: Email
    role: Role


class InvitationView(msgspec.Struct, frozen=True):
    """An invitation that nobody has taken yet."""

    id: int
    email: str
    role: Role
    expires: datetime


class NewInvitation(InvitationView, frozen=True):
    """`link` is shown this once; `is_sent`: the mail server has taken it."""

    link: str
    is_sent: bool


class InvitationList(msgspec.Struct, frozen=True):
    """The open invitations, the newest first."""

    items: list[InvitationView]


class LinkLook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The part of a link behind the `#`."""

    token: LinkToken


class InvitedView(msgspec.Struct, frozen=True):
    """What a link invites to. `is_known`: the address has a password here already."""

    tenant: str
    email: str
    role: Role
    is_known: bool


class Acceptance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An accepted invitation: with a new password, or with the one that the address has already."""

    token: LinkToken
    name: Name
    password: Password
    otp: Otp | None = None


class PasswordChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password the caller has, and the one wanted: at least 12 characters."""

    current_password: Password
    new_password: Password


class NewSecondFactor(msgspec.Struct, frozen=True):
    """For an authenticator app: `uri` as a QR code, or `secret` typed in. It counts after a first code."""

    secret: str
    uri: str


class OneTimeCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code of the authenticator app, or a recovery code."""

    code: Otp


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Each is good once in place of a one-time code. They are shown this once."""

    codes: list[str]


class ResetOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose password was forgotten."""

    email: Email


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The part of a link behind the `#`, and the password wanted: at least 12 characters."""

    token: LinkToken
    password: Password


class ApiKeyOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key for a machine: what it may do, and for how long."""

    name: Name
    actions: Annotated[list[Action], msgspec.Meta(min_length=1, max_length=40)]
    days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 90


class ApiKeyView(msgspec.Struct, frozen=True):
    """An API key that is good. `last_used` is known to the hour."""

    id: int
    name: str
    actions: list[str]
    created: datetime
    expires: datetime
    last_used: datetime | None


class NewApiKey(ApiKeyView, frozen=True):
    """`token` goes into `Authorization: Bearer`; it is shown this once."""

    token: str


class ApiKeyList(msgspec.Struct, frozen=True):
    """The API keys that are good, the newest first."""

    items: list[ApiKeyView]
