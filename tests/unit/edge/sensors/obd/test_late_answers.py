"""Answers that come late, in pieces, after the next question: never taken for another's, and over when it is over."""

from collections import Counter
from functools import partial
import random

import pytest

from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import AdapterSilent, ObdError
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import Port
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle
from tests.support.late_elm import TICK_S, TIME_PIDS, Habits, LateElm
from tests.support.loop_elm import LoopElm, Script
from tests.support.virtual_loop import VirtualLoop, run_virtual

DEADLINE_S = 2.0
MARGIN_S = 0.02
HABITS = [
    Habits("stops"),
    Habits("stops", echo="none"),
    Habits("stops", loss=0.003),
    Habits("deaf"),
    Habits("deaf", echo="plain"),
    Habits("queues"),
    Habits("queues", echo="none"),
    Habits("queues", echo="none", name="OBDII"),
    Habits("queues", echo="plain"),
    Habits("queues", echo="early"),
    Habits("queues", echo="none", name="?"),
    Habits("queues", loss=0.003, name="?"),
    Habits("at_once"),
]


class Driver:
    """Reads one vehicle as the sensor does: after two silences in a row, or many errors, the adapter is set up anew."""

    def __init__(self, loop: VirtualLoop, adapter: LateElm, chance: random.Random) -> None:
        self.loop = loop
        self.adapter = adapter
        self.chance = chance
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.slowest_s = 0.0
        self._port: Port | None = None
        self._vehicle: Vehicle | None = None
        self._memory = Memory(protocol="6")
        self._silences = self._failures = 0

    async def read(self) -> bool:
        """Whether there was a value."""
        if self._vehicle is None:
            await self._open()
            return False
        pids = self.chance.choice((TIME_PIDS[:1], TIME_PIDS[:1], TIME_PIDS[1:], TIME_PIDS))
        begun_s = self.loop.time()
        try:
            found = await self._vehicle.read(pids)
        except ObdError as err:
            self.counts[type(err).__name__] += 1
            self._silences += isinstance(err, AdapterSilent)
            self._failures += 1
            if self._silences > 1 or self._failures > 6 or not isinstance(err, (AdapterSilent, *REQUEST_ERRORS)):
                await self.close()
            return False
        finally:
            self.slowest_s = max(self.slowest_s, self._vehicle.elm.took_s if self._vehicle else 0)
        self._silences = self._failures = 0
        for data in found.values():
            at_s = int.from_bytes(data, "big") * TICK_S
            self.counts["value"] += 1
            if not begun_s - TICK_S <= at_s <= self.loop.time() + TICK_S:
                self.wrong.append(
                    f"asked at {begun_s:.2f} s, had at {self.loop.time():.2f} s, measured at {at_s:.2f} s"
                )
        return bool(found)

    async def close(self) -> None:
        if self._port is not None:
            await self._port.close()
        self._port = self._vehicle = None
        self._silences = self._failures = 0

    async def _open(self) -> None:
        self.counts["opened"] += 1
        self._port = await self.adapter.open("", 38_400, DEADLINE_S)
        try:
            elm = await Elm.start(self._port, DEADLINE_S, 12.0)
            self._vehicle = await Vehicle.find(elm, self._memory, may_search=False)
        except ObdError:
            await self.close()


async def drive(loop: VirtualLoop, habits: Habits, seed: int, reads: int) -> Driver:
    chance = random.Random(seed)
    adapter = LateElm(habits, chance)
    driver = Driver(loop, adapter, chance)
    await driver.read()
    adapter.is_troubled = True
    for _ in range(reads):
        await driver.read()
    adapter.is_troubled = False
    over_s = loop.time()
    good = 0
    while good < 20:
        good = good + 1 if await driver.read() else 0
        assert loop.time() - over_s < 60, (habits, seed, driver.counts)  # what was asked last takes its time, too
    await driver.close()
    return driver


def judge(driver: Driver) -> None:
    assert driver.wrong == []
    assert driver.counts["value"] > 20
    assert driver.slowest_s <= DEADLINE_S + MARGIN_S


@pytest.mark.parametrize("habits", HABITS, ids=str)
def test_no_value_is_older_than_its_question(habits: Habits) -> None:
    judge(run_virtual(partial(drive, habits=habits, seed=4, reads=25)))


@pytest.mark.slow
@pytest.mark.parametrize("habits", HABITS, ids=str)
def test_no_value_is_older_than_its_question_in_many_drives(habits: Habits) -> None:
    for seed in range(6):
        judge(run_virtual(partial(drive, habits=habits, seed=seed, reads=60)))


def test_a_late_answer_to_the_same_question_is_dropped() -> None:
    async def test(loop: VirtualLoop) -> None:
        adapter = LoopElm()
        vehicle = await found(adapter)
        adapter.script = Script([(2.6, "{echo}{answer}\r>")], on="010C")
        with pytest.raises(AdapterSilent):
            await vehicle.read((0x0C,))
        adapter.script = Script([], on="nothing")
        adapter.ecus[0x7E8].pids[0x0C] = b"\x00\x00"
        assert await vehicle.read((0x0C,)) == {0x0C: b"\x00\x00"}

    run_virtual(test)


def test_a_bus_where_nothing_is_late_pays_nothing() -> None:
    async def test(loop: VirtualLoop) -> None:
        adapter = LoopElm()
        vehicle = await found(adapter)
        adapter.received.clear()
        for _ in range(20):
            await vehicle.read((0x0C,))
        assert set(adapter.received) <= {"010C", "010C1"}
        assert len(adapter.received) == 20

    run_virtual(test)


async def found(adapter: LoopElm) -> Vehicle:
    elm = await Elm.start(await adapter.open("", 0, 0), DEADLINE_S, 12.0)
    return await Vehicle.find(elm, Memory(protocol="6"), may_search=False)
