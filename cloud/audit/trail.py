"""The relational database with a log: whatever is written through it leaves entries in the same transaction.

Rows of watched tables are seen when the session flushes them, so no writer has to remember the log; what cannot be
seen that way, an UPDATE or DELETE of many rows by one statement, is refused for these tables. A change whose entry
cannot be written is not made.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import URL, Connection, event, insert, inspect, select, update
from sqlalchemy.orm import ORMExecuteState, Session

from cloud.audit.chain import START, Body, Change, Entry, sealed
from cloud.audit.tables import AuditEntry, AuditHead
from cloud.audit.watched import WATCHED, Watched
from cloud.db.engine import Database
from cloud.origin import Origin, origin

T = TypeVar("T")
Members = Callable[[Connection, int], Sequence[int]]
"""The tenants that a user belongs to: what happens to somebody's account concerns each of them."""
HIDDEN = "(hidden)"


class Draft(NamedTuple):
    """What an entry will say, and to whom: to these tenants, and to those that the user belongs to in the end."""

    tenant_ids: tuple[int, ...]
    user_id: int | None
    change: Change
    kind: str
    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class TracedDatabase(Database):
    """`Database` whose writes are logged as caused by whoever calls (`cloud.origin`)."""

    def __init__(
        self, url: str | URL, tenants_of: Members, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(url)
        self._tenants_of = tenants_of
        self._clock = clock

    async def write(self, fn: Callable[[Session], T]) -> T:
        """As in `Database`."""
        return await super().write(self._traced(fn))

    def write_sync(self, fn: Callable[[Session], T]) -> T:
        """As in `Database`."""
        return super().write_sync(self._traced(fn))

    async def note(self, tenant_ids: Iterable[int], kind: str, object_id: str = "") -> None:
        """Write down that the caller looks at something of these tenants, before it does."""
        drafts = [Draft((tenant_id,), None, "read", kind, object_id, None, None) for tenant_id in tenant_ids]
        if drafts:
            await self.write(lambda session: _drafts(session).extend(drafts))

    def _traced(self, fn: Callable[[Session], T]) -> Callable[[Session], T]:
        who = origin()

        def traced(session: Session) -> T:
            event.listen(session, "after_flush", self._see)
            event.listen(session, "do_orm_execute", _refuse_many)
            result = fn(session)
            session.flush()
            if drafts := _drafts(session):
                self._append(session.connection(), drafts, who)
            return result

        return traced

    def _append(self, connection: Connection, drafts: Sequence[Draft], who: Origin) -> None:
        now = self._clock()
        newest: dict[int, Entry] = {}
        rows: list[dict[str, Any]] = []
        for draft in drafts:
            joined = () if draft.user_id is None else self._tenants_of(connection, draft.user_id)
            for tenant_id in dict.fromkeys((*draft.tenant_ids, *joined)):
                last = newest.get(tenant_id)
                before = _head(connection, tenant_id) if last is None else (last.number, last.hash)
                newest[tenant_id] = entry = sealed(_body(draft, tenant_id, before, who, now))
                rows.append(_row(entry))
        if not rows:
            return
        connection.execute(insert(AuditEntry), rows)
        for tenant_id, entry in newest.items():
            news = {"number": entry.number, "hash": entry.hash}
            done = connection.execute(update(AuditHead).where(AuditHead.tenant_id == tenant_id).values(news))
            if not done.rowcount:
                connection.execute(insert(AuditHead).values(tenant_id=tenant_id, **news))

    def _see(self, session: Session, _context: Any) -> None:
        drafts = _drafts(session)
        for row in session.new:
            if (watched := WATCHED.get(row.__tablename__)) is not None:
                drafts.append(self._draft(session, watched, row, "added", None, _values(watched, row)))
        for row in session.dirty:
            if (watched := WATCHED.get(row.__tablename__)) is not None:
                before, after = _changes(watched, row)
                if after:
                    drafts.append(self._draft(session, watched, row, "changed", before, after))
        for row in session.deleted:
            if (watched := WATCHED.get(row.__tablename__)) is not None:
                drafts.append(self._draft(session, watched, row, "removed", _values(watched, row), None))

    def _draft(
        self,
        session: Session,
        watched: Watched,
        row: Any,
        change: Change,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
    ) -> Draft:
        tenant_ids: tuple[int, ...] = ()
        user_id: int | None = None
        if row.__tablename__ == "tenants":
            tenant_ids = (row.id,)
        elif hasattr(row, "tenant_id"):
            tenant_ids = (row.tenant_id,)
        else:
            # A part of an account. Who leaves every company in the same transaction is still seen by these.
            user_id = row.id if row.__tablename__ == "users" else row.user_id
            tenant_ids = tuple(self._tenants_of(session.connection(), user_id))
        return Draft(tenant_ids, user_id, change, watched.kind, str(getattr(row, watched.key)), before, after)


def _head(connection: Connection, tenant_id: int) -> tuple[int, str]:
    query = select(AuditHead.number, AuditHead.hash).where(AuditHead.tenant_id == tenant_id)
    found = connection.execute(query).one_or_none()
    return (0, START) if found is None else (found.number, found.hash)


def _body(draft: Draft, tenant_id: int, before: tuple[int, str], who: Origin, now: datetime) -> Body:
    return Body(
        tenant_id=tenant_id,
        number=before[0] + 1,
        ts=now.astimezone(UTC),
        actor_kind=who.kind,
        actor_number=who.number,
        operation=who.operation[:60],
        change=draft.change,
        object_kind=draft.kind,
        object_id=draft.id[:80],
        before=_json(draft.before),
        after=_json(draft.after),
        address=who.address[:45],
        agent=who.agent[:200],
        request_id=who.request_id,
        prev_hash=before[1],
    )


def _json(values: dict[str, Any] | None) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(values))


def _row(entry: Entry) -> dict[str, Any]:
    row = {name: getattr(entry, name) for name in Entry.__struct_fields__}
    for name in ("before", "after"):
        row[name] = bytes(row[name]).decode()
    return row


def _drafts(session: Session) -> list[Draft]:
    found: list[Draft] = session.info.setdefault("audit", [])
    return found


def _values(watched: Watched, row: Any) -> dict[str, Any]:
    return {name: _shown(getattr(row, name)) for name in watched.shown}


def _changes(watched: Watched, row: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    attributes = inspect(row).attrs
    for name in (*watched.shown, *watched.hidden):
        history = attributes[name].history
        if history.has_changes():
            is_hidden = name in watched.hidden
            before[name] = HIDDEN if is_hidden else _shown(history.deleted[0]) if history.deleted else None
            after[name] = HIDDEN if is_hidden else _shown(history.added[0])
    return before, after


def _shown(value: Any) -> Any:
    # Binary columns of watched tables hold JSON.
    return msgspec.Raw(value) if isinstance(value, bytes) else value


def _refuse_many(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        table = None if state.bind_mapper is None else str(state.bind_mapper.local_table)
        if table in WATCHED:
            raise TypeError(f"{table} is watched by the audit log: change its rows one by one")
