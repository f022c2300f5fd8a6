"""What the relational database keeps about a person: given to them, and erased.

A user is a number in other rows and in the audit log. Erased is everything else: the row stays, without a word in it.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.identity.accounts import email_of
from cloud.identity.members import keep_an_owner
from cloud.identity.sessions import Sessions, Tenants
from cloud.identity.tables import ApiKey, Invitation, Membership, PasswordReset, PersonSession, User
from sync_protocol.errors import NotFound

ERASED = "Erased person"
log = structlog.get_logger()


class PersonMembership(msgspec.Struct, frozen=True):
    """What the person is in a company."""

    tenant: str
    role: str
    since: datetime


class PersonLogIn(msgspec.Struct, frozen=True):
    """A log-in of the person: from where, with which program. Those that ended are kept for 90 days."""

    tenant: str
    created: datetime
    refreshed: datetime
    ended: datetime | None
    address: str
    agent: str


class PersonKey(msgspec.Struct, frozen=True):
    """An API key that the person has made."""

    tenant: str
    name: str
    created: datetime
    expires: datetime


class PersonalData(msgspec.Struct, frozen=True):
    """Everything that is kept about a person beside the audit log, which names them by `id` only."""

    id: int
    email: str
    name: str
    created: datetime
    disabled: datetime | None
    second_factor_since: datetime | None
    has_password: bool
    memberships: list[PersonMembership]
    log_ins: list[PersonLogIn]
    api_keys: list[PersonKey]
    invitations: list[datetime]
    """When somebody invited this address."""
    password_links: list[datetime]
    """When a link for a new password was asked for."""


class Personal:
    """Of all users."""

    def __init__(self, db: Database, sessions: Sessions, tenants: Tenants, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._sessions = sessions
        self._tenants = tenants
        self._clock = clock

    async def number_of(self, email: str) -> int:
        """The user with this address; `NotFound`."""
        return await self._db.run(lambda session: _user(session, email).id)

    async def of(self, user_id: int) -> PersonalData:
        """What is kept. `NotFound` when there is no such user."""
        name_of = self._tenants.tenant_name

        def read(session: Session) -> PersonalData:
            user = session.get(User, user_id)
            if user is None:
                raise NotFound("There is no such user.")
            members = session.scalars(select(Membership).where(Membership.user_id == user_id))
            log_ins = session.scalars(
                select(PersonSession).where(PersonSession.user_id == user_id).order_by(PersonSession.created)
            )
            keys = session.scalars(select(ApiKey).where(ApiKey.made_by == user_id).order_by(ApiKey.id))
            invited = session.scalars(select(Invitation.created).where(Invitation.email == user.email))
            links = session.scalars(select(PasswordReset.created).where(PasswordReset.user_id == user_id))
            return PersonalData(
                user.id,
                user.email,
                user.name,
                user.created,
                user.disabled,
                user.totp_since,
                user.password_hash is not None,
                [PersonMembership(name_of(one.tenant_id), one.role, one.created) for one in members],
                [
                    PersonLogIn(name_of(one.tenant_id), one.created, one.refreshed, one.ended, one.address, one.agent)
                    for one in log_ins
                ],
                [PersonKey(name_of(one.tenant_id), one.name, one.created, one.expires) for one in keys],
                list(invited),
                list(links),
            )

        return await self._db.run(read)

    async def erase(self, email: str) -> int:
        """Erase a person; their sessions end, and nobody can log in as them again. Their API keys go on.

        `NotFound` for an unknown address, `Conflict` for the only owner of a company. Returns the number that is left.
        """
        now = self._clock()

        def write(session: Session) -> int:
            user = _user(session, email)
            for membership in session.scalars(select(Membership).where(Membership.user_id == user.id)):
                keep_an_owner(session, membership)
            nobody = f"erased-{user.id}@milepost.invalid"
            for invitation in session.scalars(select(Invitation).where(Invitation.email == user.email)):
                invitation.email, invitation.used = nobody, invitation.used or now
            user.email, user.name, user.disabled = nobody, ERASED, now
            user.password_hash = user.totp_secret = user.totp_since = user.recovery_hashes = None
            # While they are still members, so that each company is told.
            session.flush()
            for kind in (Membership, PersonSession, PasswordReset):
                for row in session.scalars(select(kind).where(kind.user_id == user.id)):
                    session.delete(row)
            return user.id

        number = await self._db.run(lambda session: _user(session, email).id)
        await self._sessions.end_all(number, "erased")
        await self._db.write(write)
        log.info("person_erased", user_id=number)
        return number


def _user(session: Session, email: str) -> User:
    user = session.scalars(select(User).where(User.email == email_of(email))).one_or_none()
    if user is None:
        raise NotFound("There is no user with this e-mail address.")
    return user
