"""The audit logs of all tenants, behind control socket and command line. A look at one leaves an entry in it."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, Protocol

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery
import msgspec

from cloud.audit.chain import Entry, written
from cloud.audit.payloads import Verification, verification
from cloud.audit.reading import following, verify
from cloud.audit.trail import TracedDatabase
from sync_protocol.errors import NotFound


class LogVerdict(msgspec.Struct, frozen=True):
    """Whether the log of a tenant is whole."""

    tenant: str
    verification: Verification


class LogLines(msgspec.Struct, frozen=True):
    """Some entries in order, as an exported file has them; `last` is the number of the last one, null at the end."""

    text: str
    last: int | None


class TenantBook(Protocol):
    """What the fleet's registry knows of tenants."""

    def tenants(self) -> Mapping[str, int]:
        """All tenants: {name: id}."""


class AuditAdmin(NamedTuple):
    """Over the logs of all tenants."""

    db: TracedDatabase
    book: TenantBook

    async def verify(self, tenant: str | None) -> list[LogVerdict]:
        """Walk the log of one tenant, or of each. `NotFound` for a tenant that is not there."""
        known = self.book.tenants()
        names = sorted(known) if tenant is None else [tenant]
        found: list[LogVerdict] = []
        for name in names:
            tenant_id = self._id(name)
            await self.db.note([tenant_id], "audit")
            walk = await self.db.run(partial(verify, tenant_id=tenant_id))
            found.append(LogVerdict(name, verification(walk)))
        return found

    async def lines(self, tenant: str, after: int) -> LogLines:
        """The entries of a tenant after this number, a thousand at most. `NotFound` as above."""
        tenant_id = self._id(tenant)
        if after == 0:
            await self.db.note([tenant_id], "audit")
        found: list[Entry] = await self.db.run(lambda session: following(session, tenant_id, after))
        text = "".join(written(one).decode() + "\n" for one in found)
        return LogLines(text, found[-1].number if found else None)

    def _id(self, tenant: str) -> int:
        found = self.book.tenants().get(tenant)
        if found is None:
            raise NotFound(f"There is no tenant {tenant!r}.")
        return found


@get("/audit/verification")
async def verify_logs(
    audit_admin: NamedDependency[AuditAdmin], tenant: FromQuery[str | None] = None
) -> list[LogVerdict]:
    """Walk the logs."""
    return await audit_admin.verify(tenant)


@get("/audit/entries")
async def read_log(
    audit_admin: NamedDependency[AuditAdmin], tenant: FromQuery[str], after: FromQuery[int] = 0
) -> LogLines:
    """Entries of a log."""
    return await audit_admin.lines(tenant, after)


ROUTES = [verify_logs, read_log]
