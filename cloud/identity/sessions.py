"""Log-ins that last: opened, refreshed, seen and ended. Answered from memory, written through to the database.

This process is the only writer, so that a session which is ended is ended with the next request, and a live connection
with it. Lives in the event loop.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
import secrets
from typing import Any, NamedTuple, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.http.problem import Unauthenticated
from cloud.identity.policy import TABLE, Principal, Role
from cloud.identity.tables import Membership, PersonSession, User
from cloud.identity.tokens import ACCESS_LIFE, Tokens
from sync_protocol.errors import Denied, NotFound

IDLE, LONGEST, DEMO = timedelta(days=14), timedelta(days=90), timedelta(days=1)
# Two tabs, or a lost answer: so long after a refresh the token before it gives the same answer again.
GRACE = timedelta(seconds=20)
KEPT_ENDED = timedelta(days=90)
_OVER = "The session has ended: log in."
log = structlog.get_logger()


class Tenants(Protocol):
    """What the fleet knows of tenants."""

    def tenant_name(self, tenant_id: int) -> str:
        """The word of a tenant in NATS subjects."""
        ...

    def tenant_named(self, name: str) -> int | None:
        """The tenant of this name."""
        ...

    def is_suspended(self, tenant_id: int) -> bool:
        """Whether people and keys of a tenant are refused."""
        ...


class Caller(NamedTuple):
    """Where a request comes from, for the list of sessions and for the throttle."""

    address: str
    agent: str


class Opened(NamedTuple):
    """The tokens of a session; `expires` is the refresh token's end."""

    access: str
    refresh: str
    expires: datetime


@dataclass(slots=True)
class Live:
    """A session that has not ended."""

    principal: Principal
    generation: int
    created: datetime
    refreshed: datetime
    expires: datetime
    caller: Caller


class Sessions:
    """All sessions of people."""

    def __init__(self, db: Database, tokens: Tokens, tenants: Tenants, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._tokens = tokens
        self._tenants = tenants
        self._clock = clock
        self._live: dict[str, Live] = {}

    def load(self, *, is_demo: bool) -> None:
        """Read the sessions that last; outside a demo those of its user end. Call before any other method."""
        now = self._clock()

        def read(session: Session) -> None:
            for old in session.scalars(select(PersonSession).where(PersonSession.ended < now - KEPT_ENDED)):
                session.delete(old)
            rows = session.execute(
                select(PersonSession, Membership.role, User.is_demo)
                .join(User, User.id == PersonSession.user_id)
                .join(
                    Membership,
                    (Membership.user_id == PersonSession.user_id) & (Membership.tenant_id == PersonSession.tenant_id),
                )
                .where(PersonSession.ended.is_(None), PersonSession.expires > now, User.disabled.is_(None))
            )
            for row, role, is_of_demo in rows:
                if is_of_demo and not is_demo:
                    row.ended, row.ended_why = now, "no_demo"
                    continue
                principal = self._principal(row.id, row.user_id, row.tenant_id, Role(role), is_of_demo)
                caller = Caller(row.address, row.agent)
                self._live[row.id] = Live(principal, row.generation, row.created, row.refreshed, row.expires, caller)

        self._db.write_sync(read)
        log.info("sessions_loaded", sessions=len(self._live))

    async def open(self, user_id: int, tenant_id: int, role: Role, caller: Caller, *, is_demo: bool = False) -> Opened:
        """A new session of a user whose word was checked. `Denied` while the tenant is suspended."""
        if self._tenants.is_suspended(tenant_id):
            raise Denied("This company is suspended: ask whoever runs the service.")
        now = self._clock()
        session_id = secrets.token_hex(16)
        principal = self._principal(session_id, user_id, tenant_id, role, is_demo)
        caller = Caller(caller.address[:45], caller.agent[:200])
        live = Live(principal, 1, now, now, now + (DEMO if is_demo else IDLE), caller)
        row = PersonSession(
            id=session_id,
            tenant_id=tenant_id,
            user_id=user_id,
            generation=1,
            created=now,
            refreshed=now,
            expires=live.expires,
            agent=caller.agent,
            address=caller.address,
        )
        await self._db.write(lambda session: session.add(row))
        self._live[session_id] = live
        log.info("session_opened", user_id=user_id, tenant_id=tenant_id, role=role, is_demo=is_demo)
        return self._opened(session_id, live)

    async def refresh(self, token: str) -> Opened:
        """New tokens for a refresh token, which is used up by it. One that was used before ends its session: it was
        stolen, from this side or the other.
        """
        said = self._tokens.read_refresh(token)
        live = None if said is None else self._live.get(said.session_id)
        if said is None or live is None:
            raise Unauthenticated(_OVER)
        now = self._clock()
        if live.expires <= now:
            await self.end(said.session_id, "expired")
            raise Unauthenticated(_OVER)
        if said.generation == live.generation:
            live.generation += 1
            live.refreshed = now
            if not live.principal.is_demo:
                live.expires = min(live.created + LONGEST, now + IDLE)
            news = {"generation": live.generation, "refreshed": now, "expires": live.expires}
            await self._change(said.session_id, news)
        elif said.generation != live.generation - 1 or now - live.refreshed > GRACE:
            log.warning("refresh_token_reused", user_id=live.principal.number)
            await self.end(said.session_id, "token_reused")
            raise Unauthenticated(_OVER)
        return self._opened(said.session_id, live)

    def identify(self, access: str) -> Principal | None:
        """The principal behind an access token; None when the token or its session is over."""
        session_id = self._tokens.read_access(access)
        live = None if session_id is None else self._live.get(session_id)
        return None if live is None or live.expires <= self._clock() else live.principal

    def of_refresh(self, token: str) -> str | None:
        """The session that a refresh token belongs to, also of one that is used up."""
        said = self._tokens.read_refresh(token)
        return None if said is None or said.session_id not in self._live else said.session_id

    def of_user(self, user_id: int) -> list[Live]:
        """The sessions of a user, the one used last first."""
        mine = [live for live in self._live.values() if live.principal.number == user_id]
        return sorted(mine, key=lambda live: live.refreshed, reverse=True)

    async def end_own(self, user_id: int, session_id: str) -> None:
        """End a session of this user; `NotFound` when there is none of that name."""
        live = self._live.get(session_id)
        if live is None or live.principal.number != user_id:
            raise NotFound("There is no such session.")
        await self.end(session_id, "ended")

    async def end(self, session_id: str, why: str) -> None:
        """End a session now: its tokens, and its live connections."""
        live = self._live.pop(session_id, None)
        if live is None:
            return
        live.principal.ended.set()
        await self._change(session_id, {"ended": self._clock(), "ended_why": why})
        log.info("session_ended", user_id=live.principal.number, why=why)

    async def end_all(self, user_id: int, why: str, *, but: str = "") -> None:
        """End the sessions of a user, except one."""
        for live in self.of_user(user_id):
            if live.principal.session_id != but:
                await self.end(live.principal.session_id, why)

    async def end_tenant(self, tenant_id: int, why: str) -> None:
        """End the sessions for a tenant."""
        for session_id in [one for one, live in self._live.items() if live.principal.tenant_id == tenant_id]:
            await self.end(session_id, why)

    async def role_changed(self, user_id: int, tenant_id: int, role: Role | None) -> None:
        """A user is something else in a tenant from now on; None: nothing. Live connections start anew."""
        for live in self.of_user(user_id):
            if live.principal.tenant_id != tenant_id:
                continue
            if role is None:
                await self.end(live.principal.session_id, "no_member")
                continue
            before, live.principal = (
                live.principal,
                replace(live.principal, role=role, actions=TABLE[role], ended=asyncio.Event()),
            )
            before.ended.set()

    async def end_expired(self) -> None:
        """End what has expired, and with it live connections."""
        now = self._clock()
        for session_id in [one for one, live in self._live.items() if live.expires <= now]:
            await self.end(session_id, "expired")

    async def _change(self, session_id: str, news: Mapping[str, Any]) -> None:
        def write(session: Session) -> None:
            row = session.get(PersonSession, session_id)
            assert row is not None, "sessions stay for a while after their end"
            for name, value in news.items():
                setattr(row, name, value)

        await self._db.write(write)

    def _principal(self, session_id: str, user_id: int, tenant_id: int, role: Role, is_demo: bool) -> Principal:
        return Principal(
            kind="user",
            number=user_id,
            tenant_id=tenant_id,
            tenant=self._tenants.tenant_name(tenant_id),
            actions=TABLE[role],
            role=role,
            session_id=session_id,
            is_demo=is_demo,
        )

    def _opened(self, session_id: str, live: Live) -> Opened:
        access = self._tokens.access(session_id, live.principal.number)
        return Opened(access, self._tokens.refresh(session_id, live.generation), live.expires)


ACCESS_LIFE_S = int(ACCESS_LIFE.total_seconds())
