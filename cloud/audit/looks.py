"""Looks that leave an entry: at people, and at the log itself. Written before the look, so there is none without it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from cloud.identity.policy import Action, Principal

LOOKS = {Action.READ_MEMBERS: "members", Action.READ_AUDIT: "audit"}
"""What is looked at with these actions; another route says it by `looks_at=` in its decorator."""
Note = Callable[[Iterable[int], str], Awaitable[None]]
"""Writes down that the caller looks at something of these tenants: `TracedDatabase.note`."""


def note_looks(note: Note) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    """Litestar guard, after the one that refuses."""

    async def check(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        kind = handler.opt.get("looks_at") or LOOKS.get(handler.opt.get("action", Action.PUBLIC))
        principal = connection.scope["user"]
        if kind is not None and isinstance(principal, Principal) and connection.scope.get("method") == "GET":
            await note([principal.tenant_id], kind)

    return check
