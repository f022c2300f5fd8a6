"""HTTP: the tenant's audit log: searched, exported, verified."""

from collections.abc import AsyncIterator, Callable, Collection
from functools import partial
from typing import Annotated, NamedTuple

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.response import Stream
from sqlalchemy.orm import Session

from cloud.audit.chain import written
from cloud.audit.payloads import AuditPage, Verification, item, verification
from cloud.audit.reading import Wanted, following, page, verify
from cloud.db.scope import TenantDatabase
from cloud.http.parameters import PageKey, instant, read_cursor, write_cursor
from cloud.http.problem import PROBLEMS, InvalidInput
from cloud.identity.policy import Action

NDJSON = "application/x-ndjson"
_KEY = "audit"


class AuditLog(NamedTuple):
    """The log of one tenant. `names` gives those of users, as far as they are there."""

    db: TenantDatabase
    names: Callable[[Session, Collection[int]], dict[int, str]]


Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Rows of a page")]
From = Annotated[str | None, QueryParameter(name="from", description="Start, ISO 8601 with zone; included")]
To = Annotated[str | None, QueryParameter(name="to", description="End, ISO 8601 with zone; not included")]
Cursor = Annotated[str | None, QueryParameter(description="next_cursor of the page before")]
ByActor = Annotated[str | None, QueryParameter(max_length=40, description="A kind of actor, or one: user, user:7")]
Operation = Annotated[str | None, QueryParameter(max_length=60, description="What was called, such as revoke_device")]
Object = Annotated[
    str | None, QueryParameter(name="object", max_length=101, description="A kind of thing, or one: device, device:van")
]


@get("/audit", action=Action.READ_AUDIT, responses=PROBLEMS, tags=["audit"])
async def search_audit(
    audit: NamedDependency[AuditLog],
    actor: ByActor = None,
    operation: Operation = None,
    object_: Object = None,
    from_: From = None,
    to: To = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> AuditPage:
    """Who changed or looked at what, the newest first."""
    actor_kind, actor_number = _actor(actor)
    object_kind, _, object_id = (object_ or "").partition(":")
    wanted = Wanted(
        actor_kind,
        actor_number,
        operation,
        object_kind or None,
        object_id or None,
        None if from_ is None else instant("from", from_),
        None if to is None else instant("to", to),
    )
    after = read_cursor(cursor, PageKey)

    def read(session: Session) -> AuditPage:
        found = page(session, wanted, limit, None if after is None else after.number)
        shown = found[:limit]
        names = audit.names(session, {one.actor_number for one in shown if one.actor_number is not None})
        more = len(found) > limit
        return AuditPage(
            [item(one, names) for one in shown], write_cursor(PageKey(_KEY, shown[-1].number)) if more else None
        )

    return await audit.db.run(read)


@get(
    "/audit/export",
    action=Action.READ_AUDIT,
    media_type=NDJSON,
    responses=PROBLEMS,
    tags=["audit"],
)
async def export_audit(audit: NamedDependency[AuditLog]) -> Stream:
    """The whole log, in order, an entry a line; `milepost-cloud audit verify --file` checks it without a database."""
    name = f"audit-{audit.db.tenant_id}.ndjson"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Stream(_lines(audit.db), media_type=NDJSON, headers=headers)


@get("/audit/verification", action=Action.READ_AUDIT, responses=PROBLEMS, tags=["audit"])
async def verify_audit(audit: NamedDependency[AuditLog]) -> Verification:
    """Walk the whole log: whether each entry is as it was written, and none is missing."""
    tenant_id = audit.db.tenant_id
    return verification(await audit.db.run(lambda session: verify(session, tenant_id)))


async def _lines(db: TenantDatabase) -> AsyncIterator[bytes]:
    number = 0
    while True:
        found = await db.run(partial(following, tenant_id=db.tenant_id, number=number))
        if not found:
            return
        yield b"".join(written(one) + b"\n" for one in found)
        number = found[-1].number


def _actor(text: str | None) -> tuple[str | None, int | None]:
    if text is None:
        return None, None
    kind, colon, number = text.partition(":")
    if colon and not (number.isascii() and number.isdigit() and len(number) < 18):
        raise InvalidInput("actor", "a kind, or a kind and a number such as user:7", text)
    return kind, int(number) if colon else None


ROUTES = [search_audit, export_audit, verify_audit]
