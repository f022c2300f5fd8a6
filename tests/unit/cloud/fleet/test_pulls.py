"""What became of a pull, by the events that the device sends."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy.orm import Session

from cloud.db.engine import Database
from cloud.fleet import pulls as pulls_module
from cloud.fleet.neighbours import EventRow
from cloud.fleet.pull_rows import load_pulls
from cloud.fleet.pull_view import TimeSpan
from cloud.fleet.pulls import Pulls
from cloud.fleet.tables import Tenant, Vehicle
from sync_protocol.errors import Conflict, NotFound
from sync_protocol.messages import Command, decode_down
from tests.support.fleet import TENANT, MemoryRegistry

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
START, END = NOW - timedelta(hours=2), NOW - timedelta(hours=1)


class Bench:
    """One vehicle, what its device has told, and what went down to it."""

    def __init__(self, db: Database) -> None:
        registry = MemoryRegistry()
        registry.device(TENANT, "van-1")
        self.now = NOW
        self.rows: list[EventRow] = []
        self.sent: list[Command] = []
        self._db = db
        self._registry = registry
        self._numbers = count(100)
        self.start()

    def start(self) -> None:
        """Begin, and begin again: what is not in the database is forgotten."""
        self.pulls = Pulls(
            self._registry,  # type: ignore[arg-type]  # all that is asked of it
            lambda _: self,
            self._publish,
            lambda: next(self._numbers),
            self._db,
            lambda: self.now,
        )
        self.pulls.load(self._db.run_sync(load_pulls))

    async def _publish(self, subject: str, data: bytes) -> None:
        assert subject == "d.demo.van-1"
        command = decode_down(data)
        assert isinstance(command, Command)
        self.sent.append(command)

    async def events(self, vehicle_id: int, start: datetime, end: datetime, kinds: Any, *_: object) -> list[EventRow]:
        return [row for row in self.rows if start <= row.ts < end and row.kind in kinds and vehicle_id == 1]

    def tell(self, kind: str, **data: Any) -> None:
        self.rows.append(EventRow(self.now, kind, data, 1, 1, 1, 0))


@pytest.fixture
def db(new_url: Callable[[], str]) -> Iterator[Database]:
    """A relational database with tenant 1 and vehicle 1."""
    database = Database(new_url())
    with Session(database.engine) as session, session.begin():
        session.add(Tenant(id=1, name=TENANT, created=NOW))
        session.flush()
        session.add(Vehicle(id=1, tenant_id=1, name="van", created=NOW))
    yield database
    database.close()


def ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def test_a_pull_is_done_once_the_device_says_so(db: Database) -> None:
    async def scene() -> None:
        bench = Bench(db)
        pull = await bench.pulls.ask(1, START, END, 2.5)
        assert (pull.state, pull.id) == ("requested", 100)
        (command,) = bench.sent
        assert (command.number, command.kind, command.expires_utc_ms) == (100, "pull", ms(NOW + timedelta(days=1)))
        assert command.args == {"from_utc_ms": ms(START), "to_utc_ms": ms(END), "most_bytes": 2_500_000}
        bench.tell("pull_done", number=99, frames=1)
        assert (await bench.pulls.one(1, 100)).state == "requested", "that was another one"
        bench.tell(
            "pull_done", number=100, frames=3, size_bytes=900, is_cut=True,
            held_from_utc_ms=ms(START), held_to_utc_ms=ms(END), missing_utc_ms=[[ms(START), ms(END)]],
        )  # fmt: skip
        done = await bench.pulls.one(1, 100)
        assert (done.state, done.frames, done.size_bytes, done.is_cut) == ("done", 3, 900, True)
        assert done.held == TimeSpan(START, END) == done.missing[0]
        with pytest.raises(Conflict):
            await bench.pulls.cancel(1, 100)

    asyncio.run(scene())


def test_refused_cancelled_expired_and_nobody_there(db: Database) -> None:
    async def scene() -> None:
        bench = Bench(db)
        for _ in range(3):
            await bench.pulls.ask(1, START, END, 1)
        bench.tell("pull_refused", number=100, reason="too_many_waiting")
        assert (await bench.pulls.cancel(1, 101)).state == "cancelled"
        assert (bench.sent[-1].kind, bench.sent[-1].args) == ("pull_cancel", {"number": 101})
        bench.now += timedelta(hours=25)
        found = await bench.pulls.of_vehicle(1)
        assert [(pull.id, pull.state) for pull in found] == [(102, "expired"), (101, "cancelled"), (100, "refused")]
        assert found[-1].reason == "too_many_waiting"
        for wrong in (bench.pulls.ask(2, START, END, 1), bench.pulls.one(2, 100), bench.pulls.one(1, 7)):
            with pytest.raises(NotFound):
                await wrong

    asyncio.run(scene())


def test_a_restart_forgets_neither_what_is_open_nor_what_became_of_the_others(db: Database) -> None:
    async def scene() -> None:
        bench = Bench(db)
        for _ in range(3):
            await bench.pulls.ask(1, START, END, 1)
        bench.tell("pull_done", number=101, frames=3)
        await bench.pulls.of_vehicle(1)
        await bench.pulls.cancel(1, 102)
        before = await bench.pulls.of_vehicle(1)
        assert [pull.state for pull in before] == ["cancelled", "done", "requested"]
        bench.start()
        assert await bench.pulls.of_vehicle(1) == before
        bench.tell("pull_done", number=100, frames=7)
        bench.start()
        assert (await bench.pulls.one(1, 100)).frames == 7, "told while the service was away"

    asyncio.run(scene())


def test_what_is_open_is_repeated_under_its_number_and_bounded(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for wait in ("_SOON_S", "_REPEAT_S"):
        monkeypatch.setattr(pulls_module, wait, 0.0)

    async def scene() -> None:
        bench = Bench(db)
        for _ in range(8):
            await bench.pulls.ask(1, START, END, 1)
        with pytest.raises(Conflict):
            await bench.pulls.ask(1, START, END, 1)
        bench.tell("pull_done", number=103)
        bench.sent.clear()
        task = asyncio.create_task(bench.pulls.run())
        while len(bench.sent) < 14:
            await asyncio.sleep(0)
        task.cancel()
        assert {command.number for command in bench.sent} == {100, 101, 102, 104, 105, 106, 107}

    asyncio.run(scene())
