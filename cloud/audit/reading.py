"""Reading the log: pages for people, every entry in order for checks and exports."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.audit.chain import START, Entry, Walk, Walker
from cloud.audit.tables import AuditEntry, AuditHead

AT_ONCE = 1000


class Wanted(msgspec.Struct, frozen=True):
    """Which entries are searched; None: whichever. `start` included, `end` not."""

    actor_kind: str | None = None
    actor_number: int | None = None
    operation: str | None = None
    object_kind: str | None = None
    object_id: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def page(session: Session, wanted: Wanted, limit: int, before: int | None) -> list[Entry]:
    """Entries of the session's tenant, the newest first, `limit` + 1 at most; the last tells that there are more."""
    query = select(AuditEntry).order_by(AuditEntry.number.desc()).limit(limit + 1)
    for name in ("actor_kind", "actor_number", "operation", "object_kind", "object_id"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(getattr(AuditEntry, name) == value)
    if wanted.start is not None:
        query = query.where(AuditEntry.ts >= wanted.start)
    if wanted.end is not None:
        query = query.where(AuditEntry.ts < wanted.end)
    if before is not None:
        query = query.where(AuditEntry.number < before)
    return [entry(row) for row in session.scalars(query)]


def following(session: Session, tenant_id: int, number: int, most: int = AT_ONCE) -> list[Entry]:
    """The entries of a tenant after this number, in order."""
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant_id, AuditEntry.number > number)
    return [entry(row) for row in session.scalars(query.order_by(AuditEntry.number).limit(most))]


def every(session: Session, tenant_id: int) -> Iterator[Entry]:
    """All entries of a tenant, in order."""
    number = 0
    while found := following(session, tenant_id, number):
        yield from found
        number = found[-1].number
        session.expunge_all()


def verify(session: Session, tenant_id: int) -> Walk:
    """Walk a tenant's whole chain, up to where its head says that it ends."""
    walker = Walker()
    for one in every(session, tenant_id):
        if not walker.step(one):
            return walker.walk
    head = session.get(AuditHead, tenant_id)
    return walker.end(0, START) if head is None else walker.end(head.number, head.hash)


def entry(row: AuditEntry) -> Entry:
    """A row as it was hashed."""
    fields = {name: getattr(row, name) for name in Entry.__struct_fields__}
    for name in ("before", "after"):
        fields[name] = msgspec.Raw(fields[name].encode())
    return Entry(**fields)
