"""The members of a tenant: seen, given another role, removed. Nobody gives or takes more than the own role."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.identity.policy import Principal, Role, may_give
from cloud.identity.sessions import Sessions
from cloud.identity.tables import Membership, User
from sync_protocol.errors import Conflict, Denied, NotFound

log = structlog.get_logger()


class Seated(NamedTuple):
    """One member."""

    user: User
    role: Role


class Members:
    """Memberships of all tenants; every method is told which one."""

    def __init__(self, db: Database, sessions: Sessions) -> None:
        self._db = db
        self._sessions = sessions

    async def of(self, tenant_id: int) -> list[Seated]:
        """The members of a tenant, by name."""
        query = (
            select(User, Membership.role)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.tenant_id == tenant_id)
            .order_by(func.lower(User.name), User.id)
        )
        return await self._db.run(lambda session: [Seated(user, Role(role)) for user, role in session.execute(query)])

    async def change(self, principal: Principal, user_id: int, role: Role) -> Seated:
        """Give a member another role; their sessions have it at once."""

        def write(session: Session) -> Seated:
            row, user = _member(session, principal, user_id)
            if not may_give(principal.actions, role):
                raise Denied(f"You may not make somebody {role}.")
            if role is not Role.OWNER:
                keep_an_owner(session, row)
            row.role = role
            return Seated(user, role)

        changed = await self._db.write(write)
        await self._sessions.role_changed(user_id, principal.tenant_id, role)
        log.info("member_changed", tenant_id=principal.tenant_id, user_id=user_id, role=role)
        return changed

    async def remove(self, principal: Principal, user_id: int) -> None:
        """Somebody is a member no more; their sessions for this tenant end."""

        def write(session: Session) -> None:
            row, _ = _member(session, principal, user_id)
            keep_an_owner(session, row)
            session.delete(row)

        await self._db.write(write)
        await self._sessions.role_changed(user_id, principal.tenant_id, None)
        log.info("member_removed", tenant_id=principal.tenant_id, user_id=user_id)


def tenants_of(connection: Connection, user_id: int) -> Sequence[int]:
    """The tenants that a user belongs to."""
    query = select(Membership.tenant_id).where(Membership.user_id == user_id).order_by(Membership.tenant_id)
    return connection.execute(query).scalars().all()


def names_of(session: Session, user_ids: Collection[int]) -> dict[int, str]:
    """The names of users, of those that are still there: {id: name}."""
    rows = session.execute(select(User.id, User.name).where(User.id.in_(user_ids)))
    return {row.id: row.name for row in rows}


def _member(session: Session, principal: Principal, user_id: int) -> tuple[Membership, User]:
    query = select(Membership, User).join(User, User.id == Membership.user_id)
    found = session.execute(
        query.where(Membership.tenant_id == principal.tenant_id, Membership.user_id == user_id)
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such member.")
    row, user = found
    if not may_give(principal.actions, Role(row.role)):
        raise Denied("This member may do more than you.")
    return row, user


def keep_an_owner(session: Session, row: Membership) -> None:
    """`Conflict` when this is the only owner of its tenant."""
    if row.role != Role.OWNER:
        return
    count = select(func.count()).select_from(Membership)
    owners = session.scalar(count.where(Membership.tenant_id == row.tenant_id, Membership.role == Role.OWNER))
    if owners == 1:
        raise Conflict("A tenant has at least one owner: make somebody else one first.")
