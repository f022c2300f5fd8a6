"""What became of a pull, by the events that the device sends."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from cloud.fleet import pulls as pulls_module
from cloud.fleet.neighbours import EventRow
from cloud.fleet.pulls import Pulls, TimeSpan
from sync_protocol.errors import Conflict, NotFound
from sync_protocol.messages import Command, decode_down
from tests.support.fleet import TENANT, MemoryRegistry

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
START, END = NOW - timedelta(hours=2), NOW - timedelta(hours=1)


class Bench:
    """One vehicle, what its device has told, and what went down to it."""

    def __init__(self) -> None:
        registry = MemoryRegistry()
        registry.device(TENANT, "van-1")
        self.now = NOW
        self.rows: list[EventRow] = []
        self.sent: list[Command] = []
        numbers = count(100)
        self.pulls = Pulls(
            registry,  # type: ignore[arg-type]  # all that is asked of it
            lambda _: self,  # type: ignore[arg-type,return-value]
            self._publish,
            lambda: next(numbers),
            lambda: self.now,
        )

    async def _publish(self, subject: str, data: bytes) -> None:
        assert subject == "d.demo.van-1"
        command = decode_down(data)
        assert isinstance(command, Command)
        self.sent.append(command)

    async def events(self, vehicle_id: int, start: datetime, end: datetime, kinds: Any, *_: object) -> list[EventRow]:
        return [row for row in self.rows if start <= row.ts < end and row.kind in kinds and vehicle_id == 1]

    def tell(self, kind: str, **data: Any) -> None:
        self.rows.append(EventRow(self.now, kind, data, 1, 1, 1, 0))


def ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def test_a_pull_is_done_once_the_device_says_so() -> None:
    async def scene() -> None:
        bench = Bench()
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


def test_refused_cancelled_expired_and_nobody_there() -> None:
    async def scene() -> None:
        bench = Bench()
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


def test_what_is_open_is_repeated_under_its_number_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls_module, "_REPEAT_S", 0.0)

    async def scene() -> None:
        bench = Bench()
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
