"""Invitations: a link, good once and for a week, that makes its holder a member of a tenant."""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
import secrets
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.identity.accounts import Accounts, email_of
from cloud.identity.passwords import check_password
from cloud.identity.policy import Action, Role, may_give
from cloud.identity.sessions import Caller, Opened, Sessions
from cloud.identity.tables import Invitation, Membership, User
from sync_protocol.errors import Conflict, Denied, NotFound

LIFE = timedelta(days=7)
_GONE = "This invitation is not good, or no longer: ask for a new one."
log = structlog.get_logger()


class Invited(NamedTuple):
    """An invitation as its holder sees it. `is_known`: the address has a password here already, and needs that one."""

    tenant_id: int
    email: str
    role: Role
    is_known: bool


def hash_of(token: str) -> str:
    """What is stored of a link's token: 256 random bits need no slow hash."""
    return sha256(token.encode()).hexdigest()


class Invitations:
    """All invitations of the service."""

    def __init__(self, db: Database, accounts: Accounts, sessions: Sessions, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._accounts = accounts
        self._sessions = sessions
        self._clock = clock

    async def make(
        self, tenant_id: int, email: str, role: Role, by: frozenset[Action] | None = None
    ) -> tuple[Invitation, str]:
        """A new invitation and its token, which is nowhere else. `by`: what the inviter may do; None: everything.

        `Denied` for a role beyond these, `Conflict` for somebody who is a member already.
        """
        email = email_of(email)
        if by is not None and not may_give(by, role):
            raise Denied(f"You may not make somebody {role}.")
        token = secrets.token_urlsafe(32)
        now = self._clock()
        row = Invitation(
            tenant_id=tenant_id, token_hash=hash_of(token), email=email, role=role, created=now, expires=now + LIFE
        )

        def write(session: Session) -> None:
            if _is_member(session, tenant_id, email):
                raise Conflict("This person is a member already.")
            session.add(row)

        await self._db.write(write)
        log.info("invitation_made", tenant_id=tenant_id, role=role, invitation_id=row.id)
        return row, token

    async def open_of(self, tenant_id: int) -> list[Invitation]:
        """Those of a tenant that are good, the newest first."""
        now = self._clock()
        query = (
            select(Invitation)
            .where(Invitation.tenant_id == tenant_id, Invitation.used.is_(None), Invitation.expires > now)
            .order_by(Invitation.created.desc(), Invitation.id.desc())
        )
        return await self._db.run(lambda session: list(session.scalars(query)))

    async def withdraw(self, tenant_id: int, invitation_id: int) -> None:
        """Its link is good no more. `NotFound` when the tenant has none of this number."""
        now = self._clock()

        def write(session: Session) -> None:
            row = session.get(Invitation, invitation_id)
            if row is None or row.tenant_id != tenant_id or row.used is not None:
                raise NotFound("There is no such invitation.")
            row.used = now

        await self._db.write(write)

    async def look(self, token: str) -> Invited:
        """What a link invites to; `NotFound` when it is not good."""

        def read(session: Session) -> Invited:
            row = self._good(session, token)
            user = _user(session, row.email)
            return Invited(row.tenant_id, row.email, Role(row.role), user is not None)

        return await self._db.run(read)

    async def accept(self, token: str, name: str, password: str, caller: Caller, otp: str | None = None) -> Opened:
        """Become a member and log in: with a new password, or with the one that the address has here already."""
        invited = await self.look(token)
        if invited.is_known:
            await self._accounts.prove(invited.email, password, caller)
            await self._accounts.prove_second(invited.email, otp)
            password_hash = None
        else:
            check_password(password, invited.email)
            password_hash = await self._accounts.hash(password)
        now = self._clock()

        def write(session: Session) -> int:
            row = self._good(session, token)
            row.used = now
            user = _user(session, row.email)
            if user is None:
                # Somebody may have come in by another link meanwhile: then that one's password is asked for.
                if password_hash is None:
                    raise NotFound(_GONE)
                user = User(email=row.email, name=name, password_hash=password_hash, is_demo=False, created=now)
                session.add(user)
                session.flush()
            elif password_hash is not None:
                raise Conflict("This address has come in by another link: log in, and open this one again.")
            if not _is_member(session, row.tenant_id, row.email):
                session.add(Membership(tenant_id=row.tenant_id, user_id=user.id, role=row.role, created=now))
            return user.id

        user_id = await self._db.write(write)
        log.info("invitation_accepted", tenant_id=invited.tenant_id, user_id=user_id, role=invited.role)
        return await self._sessions.open(user_id, invited.tenant_id, invited.role, caller)

    def _good(self, session: Session, token: str) -> Invitation:
        row = session.scalars(select(Invitation).where(Invitation.token_hash == hash_of(token))).one_or_none()
        if row is None or row.used is not None or row.expires <= self._clock():
            raise NotFound(_GONE)
        return row


def _user(session: Session, email: str) -> User | None:
    return session.scalars(select(User).where(User.email == email)).one_or_none()


def _is_member(session: Session, tenant_id: int, email: str) -> bool:
    query = select(Membership.id).join(User, User.id == Membership.user_id)
    return session.scalar(query.where(User.email == email, Membership.tenant_id == tenant_id)) is not None
