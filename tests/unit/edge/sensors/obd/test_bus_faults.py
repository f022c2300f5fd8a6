"""Every fault of the table: its own error within two seconds, a true state, no wrong value, and an end to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import random

import pytest

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.decode import raw_values
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import BadAnswer, BusError, ObdError
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.sensor import ObdSensor
from edge.sensors.obd.vehicle import Vehicle
from sync_protocol.signals import catalogue
from tests.support.bus_faults import FAULTS, Fault
from tests.support.elm_fakes import CollectingSink, FakeEcu, engine
from tests.support.loop_elm import LoopElm
from tests.support.virtual_loop import VirtualLoop, run_virtual

DEADLINE_S = 2.0
MARGIN_S = 0.01  # of the loop's time, which stands still while the code runs
CONFIG = ObdConfig(port="/dev/obd", deadline_s=DEADLINE_S)
BATTERY = catalogue().by_name["battery_v"].id
FROM_GEARBOX = catalogue().by_name["hybrid_battery_pct"].id
SPEED = catalogue().by_name["speed_kmh"].id


SOME_QUICKLY = [
    pytest.param(fault, id=fault.name, marks=[] if n % 9 == 0 else [pytest.mark.slow]) for n, fault in enumerate(FAULTS)
]


def two_computers() -> LoopElm:
    return LoopElm({0x7E8: engine(), 0x7E9: FakeEcu({0x0D: b"\x32", 0x5B: b"\x80"})})


def begin(elm: LoopElm, fault: Fault) -> dict[int, FakeEcu]:
    """The fault sets in; the computers that it takes away."""
    elm.script, elm.voltage = fault.script, fault.voltage
    if fault.is_unplugged:
        elm.unplug()
    return {ecu: elm.ecus.pop(ecu) for ecu in fault.gone_ecus}


def end(elm: LoopElm, gone: dict[int, FakeEcu]) -> None:
    elm.script, elm.voltage = None, "14.1V"
    elm.ecus.update(gone)
    elm.plug()


def name_of(error: ObdError) -> str:
    return type(error).__name__ + (f":{error.kind}" if isinstance(error, BusError) else "")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_one_read_ends_in_time_with_the_right_error_and_the_next_is_good(fault: Fault) -> None:
    async def test(loop: VirtualLoop) -> None:
        elm = two_computers()
        port = await elm.open("", 0, 0)
        vehicle = await Vehicle.find(await Elm.start(port, DEADLINE_S, 12.0), Memory(protocol="6"), may_search=False)
        gone = begin(elm, fault)
        begun_s, said = loop.time(), ""
        try:
            assert await vehicle.read((0x0D,)) == {0x0D: b"\x32"}
        except ObdError as err:
            said = name_of(err)
        assert said == fault.error
        assert loop.time() - begun_s <= DEADLINE_S + MARGIN_S
        end(elm, gone)
        await port.close()
        port = await elm.open("", 0, 0)
        vehicle = await Vehicle.find(await Elm.start(port, DEADLINE_S, 12.0), Memory(protocol="6"), may_search=False)
        assert await vehicle.read((0x0D,)) == {0x0D: b"\x32"}
        await port.close()

    run_virtual(test)


@asynccontextmanager
async def measuring(
    elm: LoopElm, loop: VirtualLoop, config: ObdConfig
) -> AsyncIterator[tuple[ObdSensor, CollectingSink]]:
    """The whole sensor; at the end every value that it gave must have been the vehicle's."""
    sensor, sink = ObdSensor(config, loop.boot_ms, elm.open), CollectingSink()
    truth = truth_of(elm)
    task = asyncio.create_task(sensor.run(sink))
    yield sensor, sink
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert len(sink.rows) > 10
    for _, _, values in sink.rows:
        volts = values.pop(BATTERY, None)
        assert volts in (None, 124, 141)
        assert values.items() <= truth.items()


def truth_of(elm: LoopElm) -> dict[int, int]:
    answers = {pid: data for ecu in elm.ecus.values() for pid, data in ecu.pids.items()}
    return raw_values(answers, catalogue().signals)


@pytest.mark.parametrize("fault", SOME_QUICKLY)
def test_a_minute_of_it_is_shown_marked_and_over_when_it_ends(fault: Fault) -> None:
    async def test(loop: VirtualLoop) -> None:
        elm = two_computers()
        async with measuring(elm, loop, CONFIG) as (sensor, sink):
            await asyncio.sleep(20)
            assert sensor.state().link == "open"
            assert FROM_GEARBOX in {signal for _, _, values in sink.rows for signal in values}
            marked = len(sink.marks)
            gone = begin(elm, fault)
            async with asyncio.timeout(15):  # three rounds of a second, and the deadlines within them
                while sensor.state().link != fault.link:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(60)
            assert sensor.state().link in (fault.link, "opening")
            if fault.mark:
                assert fault.mark in {kind for _, _, kind in sink.marks[marked:]}
            end(elm, gone)
            ended_ms = loop.boot_ms()
            await asyncio.sleep(125)
            assert sensor.state().link == "open"
            after = [(at, values) for _, at, values in sink.rows if at > ended_ms and SPEED in values]
            assert after[0][0] - ended_ms < 45_000  # the longest wait before the port is opened again, and a set-up
            assert sum(at > ended_ms + 60_000 for at, _ in after) >= 60
            assert FROM_GEARBOX in {s for _, at, values in sink.rows if at > ended_ms for s in values}

    run_virtual(test)


@pytest.mark.slow
def test_two_hundred_random_faults_in_a_row() -> None:
    async def test(loop: VirtualLoop) -> None:
        chance, elm = random.Random(2026), two_computers()
        async with measuring(elm, loop, CONFIG) as (sensor, sink):
            await asyncio.sleep(10)
            for _ in range(200):
                gone = begin(elm, chance.choice(FAULTS))
                await asyncio.sleep(chance.choice((0.01, 0.3, 1.7, 5, 20)))
                end(elm, gone)
                await asyncio.sleep(chance.choice((0, 0.2, 2, 10)))
            rows = len(sink.rows)
            await asyncio.sleep(130)
            assert sensor.state().link == "open"
            assert len(sink.rows) - rows > 90
            assert {FROM_GEARBOX, SPEED} <= {signal for _, _, values in sink.rows[rows:] for signal in values}
            print(f"{rows} rows in {loop.time():.0f} s of faults, {len(elm.opened)} openings, {len(sink.marks)} marks")

    run_virtual(test)


def test_a_single_leap_of_the_voltage_is_not_believed_and_a_lasting_one_is() -> None:
    async def test(loop: VirtualLoop) -> None:
        elm = two_computers()
        port = await elm.open("", 0, 0)
        adapter = await Elm.start(port, DEADLINE_S, 12.0)
        elm.voltage = "28.3V"
        assert await adapter.voltage_v() == 28.3
        said = iter(["8.3V", "28.3V", "8.3V", "8.4V"])  # a lost digit; then a starter
        elm.override = lambda command: f"ATRV\r{next(said)}\r\r>".encode() if command == "ATRV" else None
        with pytest.raises(BadAnswer):
            await adapter.voltage_v()
        assert await adapter.voltage_v() == 8.4
        await port.close()

    run_virtual(test)
