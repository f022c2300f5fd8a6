"""The chain: each entry's hash covers its own bytes and the hash before it. Needs no database.

An entry in canonical form is one line of JSON with the fields in the order of `Entry`, no spaces, `before` and `after`
as they were written; without the last field it is what SHA-256 is taken of. An exported file is these lines.
"""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec

START = "0" * 64
"""The hash before the first entry."""
NOTHING = msgspec.Raw(b"null")
"""No values before, or none after."""
_DOMAIN = b"milepost audit 1\n"
Change = Literal["added", "changed", "removed", "read"]


class Body(msgspec.Struct, frozen=True):
    """What is hashed. `number` counts from 1 in each tenant; `ts` is aware UTC."""

    tenant_id: int
    number: int
    ts: datetime
    actor_kind: str
    actor_number: int | None
    operation: str
    change: str
    object_kind: str
    object_id: str
    before: msgspec.Raw
    after: msgspec.Raw
    address: str
    agent: str
    request_id: str
    prev_hash: str


class Entry(Body, frozen=True, forbid_unknown_fields=True):
    """An entry of the log."""

    hash: str


class Fault(NamedTuple):
    """The first entry that is not as it was written, and why."""

    number: int
    reason: str


class Walk(NamedTuple):
    """How far a chain is whole: `entries` of them, up to this hash; then the fault, if there is one."""

    tenant_id: int | None
    entries: int
    head: str
    fault: Fault | None


def sealed(body: Body) -> Entry:
    """An entry with its hash."""
    fields = {name: getattr(body, name) for name in Body.__struct_fields__}
    return Entry(**fields, hash=_hash(body))


def written(entry: Entry) -> bytes:
    """An entry in canonical form, without an end of line."""
    return msgspec.json.encode(entry)


def _hash(entry: Body) -> str:
    fields = {name: getattr(entry, name) for name in Body.__struct_fields__}
    return sha256(_DOMAIN + msgspec.json.encode(Body(**fields))).hexdigest()


class Walker:
    """Checks entries one after another, from the first of a tenant on."""

    def __init__(self) -> None:
        self._walk = Walk(None, 0, START, None)

    @property
    def walk(self) -> Walk:
        """How far it has come."""
        return self._walk

    def step(self, entry: Entry) -> bool:
        """Whether this is the entry that comes next, as it was written."""
        walk = self._walk
        tenant_id = entry.tenant_id if walk.tenant_id is None else walk.tenant_id
        number = walk.entries + 1
        reason = None
        if entry.tenant_id != tenant_id:
            reason = "belongs to another tenant"
        elif entry.number != number:
            reason = f"is missing: the next one there is {entry.number}"
        elif entry.prev_hash != walk.head:
            reason = "does not follow from the one before it"
        elif entry.hash != _hash(entry):
            reason = "was altered: its hash is another"
        if reason is None:
            self._walk = Walk(tenant_id, number, entry.hash, None)
        else:
            self._walk = walk._replace(tenant_id=tenant_id, fault=Fault(number, reason))
        return reason is None

    def end(self, number: int, head: str) -> Walk:
        """The result, given where the log says that it ends: entries that were cut off there are missed, too."""
        walk = self._walk
        if walk.fault is None and (walk.entries, walk.head) != (number, head):
            at = min(walk.entries, number) + 1
            self._walk = walk._replace(fault=Fault(at, f"the log ends at {walk.entries}, its head is {number}"))
        return self._walk


def walk_lines(lines: Iterable[bytes]) -> Walk:
    """Check an exported file, of one tenant, from its first entry on."""
    walker = Walker()
    for line in lines:
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except (msgspec.DecodeError, ValueError):
            return walker.walk._replace(fault=Fault(walker.walk.entries + 1, "is no entry"))
        if written(entry) != line.rstrip(b"\n"):
            return walker.walk._replace(fault=Fault(walker.walk.entries + 1, "is not written as entries are"))
        if not walker.step(entry):
            break
    return walker.walk
