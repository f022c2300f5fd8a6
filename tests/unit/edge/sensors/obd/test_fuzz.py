"""Damaged answers: an error, or exactly what an undamaged line really said. Never another value."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
import csv
import random

import pytest

from edge.sensors.obd.answer import Bus, Message, data_lines, messages
from edge.sensors.obd.decode import dtc_codes
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import ObdError
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.vehicle import Vehicle
from sync_protocol.signals import catalogue
from tests.support.answer_fuzz import Case, make_case, mutate
from tests.support.elm_fakes import VIN
from tests.support.loop_elm import LoopElm
from tests.support.real_data import require_data
from tests.support.virtual_loop import VirtualLoop, run_virtual


class SaidElm:
    """An adapter that has said these lines, whatever it is asked."""

    def __init__(self) -> None:
        self.lines: Sequence[str] = ()

    async def request(self, command: str, *, may_search: bool = False) -> list[str]:
        return data_lines(self.lines)

    def doubting(self) -> AbstractContextManager[None]:
        return nullcontext()


class Judge:
    """One vehicle and what it truly says. Counts what came of each damage."""

    def __init__(self, counts: Counter[str]) -> None:
        self.counts = counts
        self.wrong: list[str] = []

    def vehicle(self, case: Case, elm: object) -> Vehicle:
        vehicle = Vehicle(elm, case.bus, Memory(has_frame_count=False))  # type: ignore[arg-type]  # it only asks
        vehicle.owner = dict.fromkeys(case.pids, case.owner)
        return vehicle

    async def judge(self, vehicle: Vehicle, case: Case, lines: Sequence[str]) -> None:
        if list(lines) == list(case.lines):
            self.counts["came out unchanged"] += 1
            return
        if case.is_unseen(lines):
            self.counts["cannot be seen by anyone"] += 1
            return
        try:
            is_true = await self._is_true(vehicle, case)
        except ObdError as err:
            self.counts[type(err).__name__] += 1
            return
        self.counts["true value"] += is_true
        self.counts["WRONG"] += not is_true
        if not is_true:
            self.wrong.append(f"{case.bus.name} asked {case.request.hex()}: {list(case.lines)} became {list(lines)}")

    async def _is_true(self, vehicle: Vehicle, case: Case) -> bool:
        if case.request[0] == 0x09:
            return await vehicle.vin() == VIN
        if case.request[0] == 0x03:
            truth = {ecu: dtc_codes(found, case.bus.is_can)[ecu] for ecu, found in _messages(case).items()}
            return (await vehicle.dtcs("stored")).items() <= truth.items()
        data, truth_by_pid, at = case.said[case.owner], {}, 1
        while at < len(data):
            size = catalogue().pid_bytes[data[at]]
            truth_by_pid[data[at]] = data[at + 1 : at + 1 + size]
            at += 1 + size
        return (await vehicle.read(case.pids)).items() <= truth_by_pid.items()

    def report(self) -> None:
        print(dict(self.counts.most_common()), *self.wrong[:20], sep="\n")
        assert not self.wrong


def _messages(case: Case) -> dict[int, list[Message]]:
    found = messages(case.lines, case.bus)
    return {ecu: [m for m in found if m.ecu == ecu] for ecu in {m.ecu for m in found}}


async def fuzz(seed: int, count: int) -> Judge:
    chance, judge = random.Random(seed), Judge(Counter())
    while judge.counts.total() < count:
        case, elm = make_case(chance), SaidElm()
        vehicle = judge.vehicle(case, elm)
        elm.lines = case.lines
        assert await judge._is_true(vehicle, case)  # undamaged
        for _ in range(20):
            elm.lines = mutate(case, chance)
            await judge.judge(vehicle, case, elm.lines)
    return judge


def test_damaged_answers_are_errors_or_true() -> None:
    judge = asyncio.run(fuzz(1, 6_000))
    judge.report()
    assert judge.counts["BadAnswer"] > 2_000
    assert judge.counts["true value"] > 300


@pytest.mark.slow
def test_not_one_wrong_value_in_a_hundred_thousand_damaged_answers() -> None:
    judge = asyncio.run(fuzz(2, 130_000))
    judge.report()
    hidden = judge.counts["cannot be seen by anyone"] + judge.counts["came out unchanged"]
    assert judge.counts.total() - hidden >= 100_000


@pytest.mark.real_data
@pytest.mark.slow
def test_real_answers_damaged() -> None:
    path = require_data("elm327", "obdb-toyota-4runner", "responses_mode01.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    chance, judge = random.Random(3), Judge(Counter())

    async def body() -> None:
        for row in rows:
            pid, lines = int(row["command_id"].removeprefix("7E0.01"), 16), row["response_hex"].split("|")
            data = _messages(Case(Bus("6"), bytes([1, pid]), {}, lines, 0x7E8))[0x7E8][0].data
            case, elm = Case(Bus("6"), bytes([1, pid]), {0x7E8: data}, lines, 0x7E8), SaidElm()
            vehicle = judge.vehicle(case, elm)
            for _ in range(150):
                elm.lines = mutate(case, chance)
                await judge.judge(vehicle, case, elm.lines)

    asyncio.run(body())
    judge.report()


def test_damage_between_echo_and_prompt() -> None:
    """The same through the adapter's exchange: echo, line ends and prompt are damaged as well."""

    async def test(loop: VirtualLoop) -> None:
        chance, judge = random.Random(4), Judge(Counter())
        for _ in range(60):
            case = make_case(chance)
            fake = LoopElm()
            fake.protocol = case.bus.digit
            port = await fake.open("", 0, 0)
            elm = await Elm.start(port, 2.0, 12.0)
            await elm.select(case.bus.digit)
            vehicle = judge.vehicle(case, elm)
            for _ in range(12):
                lines = mutate(case, chance) if chance.random() < 0.6 else list(case.lines)
                raw = _damaged_ends(case.request.hex().upper(), lines, chance)
                fake.override = lambda command, raw=raw: None if command.startswith("AT") else raw
                # What an unseen line is cut into or glued to by the ends is left out with it.
                if not case.is_unseen(lines):
                    await judge.judge(vehicle, case, [*lines, "as sent with its ends"])
            await port.close()
        judge.report()

    run_virtual(test)


def _damaged_ends(command: str, lines: Sequence[str], chance: random.Random) -> bytes:
    text = command + "\r" + "".join(line + chance.choice(("\r", "\r\n", "\r\r", " \r")) for line in lines) + "\r>"
    if chance.random() < 0.5:
        at = chance.choice((0, 1, len(command), len(text) - 1, len(text) - 2))
        text = text[:at] + chance.choice(("", ">", "\r>", "\x00", "AT", "0")) + text[at + 1 :]
    return text.encode("latin-1")
