"""What the audit routes answer."""

from datetime import datetime
from typing import Any

import msgspec

from cloud.audit.chain import Entry, Walk


class Actor(msgspec.Struct, frozen=True):
    """Who did it: a `user`, a `key`, `nobody` (not logged in), an `operator` of the service, or the `service`.

    `name`: of a user, as it is now; null for somebody who is no longer there.
    """

    kind: str
    number: int | None
    name: str | None


class AuditItem(msgspec.Struct, frozen=True):
    """One thing that was changed or read. `operation` is what was called; values of people and secrets are hidden."""

    number: int
    ts: datetime
    actor: Actor
    operation: str
    change: str
    object_kind: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    address: str
    agent: str
    request_id: str
    hash: str


class AuditPage(msgspec.Struct, frozen=True):
    """Entries, the newest first."""

    items: list[AuditItem]
    next_cursor: str | None


class ChainFault(msgspec.Struct, frozen=True):
    """The first entry that is not as it was written."""

    number: int
    reason: str


class Verification(msgspec.Struct, frozen=True):
    """Whether the log is whole. `entries` of it are, and `head` is the hash of the last of these."""

    is_whole: bool
    entries: int
    head: str
    fault: ChainFault | None


def item(entry: Entry, names: dict[int, str]) -> AuditItem:
    """An entry as people see it."""
    is_user = entry.actor_kind == "user" and entry.actor_number is not None
    name = names.get(entry.actor_number) if is_user and entry.actor_number is not None else None
    return AuditItem(
        entry.number,
        entry.ts,
        Actor(entry.actor_kind, entry.actor_number, name),
        entry.operation,
        entry.change,
        entry.object_kind,
        entry.object_id,
        msgspec.json.decode(entry.before),
        msgspec.json.decode(entry.after),
        entry.address,
        entry.agent,
        entry.request_id,
        entry.hash,
    )


def verification(walk: Walk) -> Verification:
    """A walk as people see it."""
    fault = None if walk.fault is None else ChainFault(walk.fault.number, walk.fault.reason)
    return Verification(fault is None, walk.entries, walk.head, fault)
