"""API keys for machines: a few actions in one tenant, until a day. Answered from memory, like sessions."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
import secrets

from sqlalchemy import select
from sqlalchemy.orm import Session
import structlog

from cloud.db.engine import Database
from cloud.http.problem import InvalidInput
from cloud.identity.policy import SCOPES, Action, Principal
from cloud.identity.sessions import Tenants
from cloud.identity.tables import ApiKey
from sync_protocol.errors import Denied, NotFound

PREFIX = "mpk_"
_USED_EVERY = timedelta(hours=1)
log = structlog.get_logger()


@dataclass(slots=True)
class Live:
    """A key that has not ended."""

    principal: Principal
    expires: datetime
    used: datetime | None


class ApiKeys:
    """All API keys of the service. Lives in the event loop."""

    def __init__(self, db: Database, tenants: Tenants, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._tenants = tenants
        self._clock = clock
        self._live: dict[str, Live] = {}
        self._noting: set[asyncio.Task[None]] = set()

    def load(self) -> None:
        """Read the keys that are good. Call before any other method."""
        query = select(ApiKey).where(ApiKey.ended.is_(None), ApiKey.expires > self._clock())
        for row in self._db.run_sync(lambda session: session.scalars(query).all()):
            self._live[row.secret_hash] = Live(self._principal(row), row.expires, row.used)

    def identify(self, token: str) -> Principal | None:
        """The principal of a key; None when it is not, or no longer, good."""
        live = self._live.get(_hash(token))
        now = self._clock()
        if live is None or self._tenants.is_suspended(live.principal.tenant_id):
            return None
        if live.expires <= now:
            live.principal.ended.set()
            return None
        if live.used is None or now - live.used >= _USED_EVERY:
            live.used = now
            noting = asyncio.ensure_future(self._note(live.principal.number, now))
            self._noting.add(noting)
            noting.add_done_callback(self._noting.discard)
        return live.principal

    async def make(self, by: Principal, name: str, actions: Collection[Action], life: timedelta) -> tuple[ApiKey, str]:
        """A new key and its token, which is nowhere else.

        `InvalidInput` for actions that no key may have, `Denied` for those that the maker may not do.
        """
        wanted = frozenset(actions)
        if not wanted or not wanted <= SCOPES:
            raise InvalidInput("$.actions", "one or more of " + ", ".join(sorted(SCOPES)))
        if not wanted <= by.actions:
            raise Denied("A key may do no more than whoever makes it.")
        token = PREFIX + secrets.token_urlsafe(32)
        now = self._clock()
        row = ApiKey(
            tenant_id=by.tenant_id,
            name=name,
            secret_hash=_hash(token),
            actions=sorted(wanted),
            made_by=by.number,
            created=now,
            expires=now + life,
        )
        await self._db.write(lambda session: session.add(row))
        self._live[row.secret_hash] = Live(self._principal(row), row.expires, None)
        log.info("api_key_made", tenant_id=by.tenant_id, key_id=row.id, actions=row.actions)
        return row, token

    async def of(self, tenant_id: int) -> list[ApiKey]:
        """Those of a tenant that are good, the newest first."""
        query = (
            select(ApiKey)
            .where(ApiKey.tenant_id == tenant_id, ApiKey.ended.is_(None), ApiKey.expires > self._clock())
            .order_by(ApiKey.created.desc(), ApiKey.id.desc())
        )
        return await self._db.run(lambda session: list(session.scalars(query)))

    def break_off(self, tenant_id: int) -> None:
        """End the live connections of a tenant's keys; the keys stay."""
        for live in self._live.values():
            if live.principal.tenant_id == tenant_id:
                before, live.principal = live.principal, replace(live.principal, ended=asyncio.Event())
                before.ended.set()

    async def end(self, tenant_id: int, key_id: int) -> None:
        """A key is good no more, and its live connections end. `NotFound` when the tenant has none of this number."""
        now = self._clock()

        def write(session: Session) -> str:
            row = session.get(ApiKey, key_id)
            if row is None or row.tenant_id != tenant_id or row.ended is not None:
                raise NotFound("There is no such API key.")
            row.ended = now
            return row.secret_hash

        live = self._live.pop(await self._db.write(write), None)
        if live is not None:
            live.principal.ended.set()
        log.info("api_key_ended", tenant_id=tenant_id, key_id=key_id)

    async def end_expired(self) -> None:
        """End the live connections of keys whose day has come."""
        now = self._clock()
        for secret_hash, live in list(self._live.items()):
            if live.expires <= now:
                live.principal.ended.set()
                del self._live[secret_hash]

    async def _note(self, key_id: int, used: datetime) -> None:
        def write(session: Session) -> None:
            row = session.get(ApiKey, key_id)
            if row is not None:
                row.used = used

        await self._db.write(write)

    def _principal(self, row: ApiKey) -> Principal:
        return Principal(
            kind="key",
            number=row.id,
            tenant_id=row.tenant_id,
            tenant=self._tenants.tenant_name(row.tenant_id),
            actions=frozenset(Action(word) for word in row.actions) & SCOPES,
        )


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
