"""The one place where relational queries are narrowed to a tenant.

A session of a `TenantDatabase` adds `tenant_id = ...` to every select, update and delete on a table with tenant data,
joins and subqueries included, and refuses to write a row of another tenant. Raw SQL is the only way around it, and on
PostgreSQL there row-level security stands (`cloud.db.row_security`).
"""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from cloud.db.base import TenantOwned
from cloud.db.engine import Database
from cloud.db.row_security import narrow_rows
from sync_protocol.errors import Denied

T = TypeVar("T")


class TenantDatabase:
    """The database as one tenant sees it; `run` and `write` as in `Database`."""

    def __init__(self, db: Database, tenant_id: int) -> None:
        self._db = db
        self.tenant_id = tenant_id

    async def run(self, fn: Callable[[Session], T]) -> T:
        """Read over one snapshot."""
        return await self._db.run(self._scoped(fn))

    async def write(self, fn: Callable[[Session], T]) -> T:
        """Write in one transaction."""
        return await self._db.write(self._scoped(fn))

    def _scoped(self, fn: Callable[[Session], T]) -> Callable[[Session], T]:
        def with_scope(session: Session) -> T:
            narrow(session, self.tenant_id)
            return fn(session)

        return with_scope


def narrow(session: Session, tenant_id: int) -> None:
    """Narrow a session to one tenant, for the rest of its life. Call before its first statement."""

    def on_begin(_session: Session, _transaction: Any, connection: Connection) -> None:
        narrow_rows(connection, tenant_id)

    def on_execute(state: ORMExecuteState) -> None:
        # Loads of attributes of a row that was found come without the criterion: their row has passed it.
        if not state.is_column_load:
            state.statement = state.statement.options(
                with_loader_criteria(TenantOwned, lambda table: table.tenant_id == tenant_id, include_aliases=True)
            )

    def on_flush(session: Session, _context: Any, _instances: Any) -> None:
        for row in (*session.new, *session.dirty, *session.deleted):
            if isinstance(row, TenantOwned) and row.tenant_id != tenant_id:
                raise Denied("a row of another tenant")

    event.listen(session, "after_begin", on_begin)
    event.listen(session, "do_orm_execute", on_execute)
    event.listen(session, "before_flush", on_flush)
