"""Whatever is done to a chain of entries, the first one that is not as it was written is named."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from cloud.audit.chain import NOTHING, START, Body, Entry, Fault, Walk, Walker, sealed, walk_lines, written

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)


def chain(length: int = 5, tenant_id: int = 1) -> list[Entry]:
    made: list[Entry] = []
    for number in range(1, length + 1):
        body = Body(
            tenant_id=tenant_id,
            number=number,
            ts=NOW + timedelta(seconds=number),
            actor_kind="user",
            actor_number=7,
            operation="change_vehicle",
            change="changed",
            object_kind="vehicle",
            object_id=str(number),
            before=msgspec.Raw(b'{"name":"Van \xc3\xa9"}'),
            after=msgspec.Raw(b'{"name":"Van 2"}') if number % 2 else NOTHING,
            address="192.0.2.1",
            agent="test",
            request_id="ab",
            prev_hash=made[-1].hash if made else START,
        )
        made.append(sealed(body))
    return made


def walked(entries: list[Entry]) -> Walk:
    walker = Walker()
    for entry in entries:
        if not walker.step(entry):
            break
    return walker.walk


def exported(entries: list[Entry]) -> list[bytes]:
    return [written(entry) + b"\n" for entry in entries]


OTHER: dict[str, Any] = {
    "tenant_id": 2,
    "number": 9,
    "ts": NOW,
    "actor_kind": "service",
    "actor_number": None,
    "operation": "other",
    "change": "read",
    "object_kind": "device",
    "object_id": "x",
    "before": NOTHING,
    "after": msgspec.Raw(b'{"name": "Van 2"}'),
    "address": "",
    "agent": "Test",
    "request_id": "",
    "prev_hash": START,
    "hash": "f" * 64,
}


def test_a_whole_chain_is_whole() -> None:
    entries = chain()
    whole = Walk(1, 5, entries[-1].hash, None)
    assert walked(entries) == whole
    assert walk_lines(exported(entries)) == whole
    assert walk_lines([]) == Walk(None, 0, START, None)


@pytest.mark.parametrize("field", Entry.__struct_fields__)
def test_each_altered_field_is_found(field: str) -> None:
    entries = chain()
    entries[2] = msgspec.structs.replace(entries[2], **{field: OTHER[field]})
    for walk in (walked(entries), walk_lines(exported(entries))):
        assert walk.fault is not None
        assert (walk.entries, walk.fault.number) == (2, 3), field


def test_the_fields_tried_are_all_there_are() -> None:
    assert OTHER.keys() == set(Entry.__struct_fields__)


@pytest.mark.parametrize(
    ("harm", "number"),
    [
        (lambda e: e[:1] + e[2:], 2),
        (lambda e: e[1:], 1),
        (lambda e: [e[0], e[2], e[1], *e[3:]], 2),
        (lambda e: [*e[:3], e[2], *e[3:]], 4),
        (lambda e: [*e[:2], chain(3, tenant_id=2)[2], *e[3:]], 3),
        (lambda e: [*e[:2], sealed(msgspec.structs.replace(e[2], prev_hash=START)), *e[3:]], 3),
        # One who reckons its hash anew is betrayed by the next entry.
        (lambda e: [*e[:2], _reckoned_anew(e[2]), *e[3:]], 4),
    ],
    ids=[
        "removed",
        "beginning removed",
        "swapped",
        "doubled",
        "another tenant's",
        "another beginning",
        "reckoned anew",
    ],
)
def test_what_is_removed_swapped_or_inserted_is_found(harm: Callable[[list[Entry]], list[Entry]], number: int) -> None:
    entries = harm(chain())
    for walk in (walked(entries), walk_lines(exported(entries))):
        assert walk.fault is not None
        assert walk.fault.number == number


def _reckoned_anew(entry: Entry) -> Entry:
    return sealed(msgspec.structs.replace(entry, object_id="forged"))


def test_an_end_that_was_cut_off_is_missed() -> None:
    entries = chain()
    walker = Walker()
    for entry in entries[:3]:
        assert walker.step(entry)
    assert walker.end(5, entries[-1].hash).fault == Fault(4, "the log ends at 3, its head is 5")
    walker = Walker()
    for entry in entries:
        assert walker.step(entry)
    assert walker.end(5, entries[-1].hash).fault is None
    assert walker.end(4, entries[3].hash).fault is not None


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"not json\n", b"[1]\n", b"\xff\n"])
def test_a_line_that_is_no_entry(line: bytes) -> None:
    lines = exported(chain())
    assert walk_lines([*lines[:2], line, *lines[2:]]).fault == Fault(3, "is no entry")


def test_a_line_in_another_form() -> None:
    lines = exported(chain())
    lines[1] = lines[1].replace(b'"number":2', b'"number": 2')
    assert walk_lines(lines).fault == Fault(2, "is not written as entries are")
