"""A parked vehicle, hour after hour: what goes onto its bus, and what its battery tells."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.sensor import ObdSensor
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink
from tests.support.loop_elm import LoopElm
from tests.support.virtual_loop import VirtualLoop, run_virtual

CONFIG = ObdConfig(port="/dev/obd")
ENGINE = 0x7E8
BATTERY = catalogue().by_name["battery_v"].id


class Parked:
    """A vehicle whose engine can be stopped and started, and the agent's sensor on it. Voltages are of each battery."""

    def __init__(self, loop: VirtualLoop, *, has_voltage: bool = True, in_a_row: int = 1) -> None:
        self.loop = loop
        self.elm = LoopElm()
        self.sensor = ObdSensor(CONFIG, loop.boot_ms, self.elm.open)
        self.sink = CollectingSink()
        self._has_voltage = has_voltage
        self._in_a_row = in_a_row
        self._task = asyncio.create_task(self.sensor.run(self.sink))
        self.set(14.1)

    def set(self, volts: float) -> None:
        self.elm.voltage = f"{volts * self._in_a_row:.1f}V" if self._has_voltage else None

    def engine(self, *, is_on: bool) -> None:
        pids = self.elm.ecus[ENGINE].pids
        pids.update({0x0C: b"\x1f\x40", 0x0D: b"\x32"} if is_on else {0x0C: b"\0\0", 0x0D: b"\0"})

    async def park(self, *, answers_s: float) -> None:
        """Drive for two minutes, stop; the computers answer for a while longer. Until the vehicle is left alone."""
        await asyncio.sleep(120)
        assert self.sensor.state().link == "open"
        self.engine(is_on=False)
        self.set(12.7)
        await asyncio.sleep(answers_s)
        self.elm.bus_text = "NO DATA"
        while self.sensor.state().link != "closed":
            await asyncio.sleep(1)
        self.elm.sent.clear()

    async def rest(self, hours: float, volts: Callable[[float], float]) -> None:
        """Time passes; the voltage by the part of it that has passed, with the last digit in doubt."""
        steps = round(hours * 120)
        for n in range(steps):
            self.set(volts(n / steps) + (0.1 if n % 3 == 0 else 0.0))
            await asyncio.sleep(30)

    async def start(self, *, is_started: bool = True) -> None:
        """Door, key, starter, engine."""
        for volts, for_s in ((12.4, 4.0), (12.0, 5.0), (9.4, 0.3), (10.2, 0.5), (14.2 if is_started else 12.3, 20.0)):
            if volts == 12.0:
                self.elm.bus_text = None
            if volts == 14.2:
                self.engine(is_on=True)
            self.set(volts)
            await asyncio.sleep(for_s)

    def bus_commands(self) -> list[str]:
        """What was asked of the vehicle since it was left alone."""
        return [command for _, command in self.elm.sent if not command.startswith("AT")]

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.mark.parametrize(
    ("hours", "answers_s", "in_a_row"),
    [
        (0.2, 3, 1),
        (0.2, 3, 2),
        pytest.param(0.2, 600, 1, marks=pytest.mark.slow),
        pytest.param(10, 300, 1, marks=pytest.mark.slow),
        pytest.param(3.5, 300, 2, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_said_to_a_sleeping_vehicle(hours: float, answers_s: float, in_a_row: int) -> None:
    async def test(loop: VirtualLoop) -> None:
        parked = Parked(loop, in_a_row=in_a_row)
        await parked.park(answers_s=answers_s)
        await asyncio.sleep(5)
        falling_asleep = parked.bus_commands()
        parked.elm.sent.clear()
        await parked.rest(hours, lambda part: 12.6 - 0.2 * part)
        sent = Counter(command for _, command in parked.elm.sent)
        print(f"{hours} h: on the bus {parked.bus_commands()}, to the adapter {dict(sent)}, before {falling_asleep}")
        assert not parked.bus_commands()
        assert set(sent) == {"ATRV"}  # the one command that touches nothing but the adapter
        assert falling_asleep in ([], ["0100"])
        assert parked.sensor.state().link == "closed"
        samples = [at for _, at, values in parked.sink.rows if BATTERY in values]
        assert max(b - a for a, b in zip(samples[-100:], samples[-99:], strict=False)) <= 10_000
        before = len(parked.sink.rows)
        await parked.start()
        assert parked.sensor.state().link == "open"
        assert len(parked.sink.rows) > before + 10
        (crank,) = parked.sink.of("battery_cranked")
        assert crank["min_v"] == 9.4 * in_a_row
        assert crank["before_v"] == 12.0 * in_a_row
        assert crank["is_started"]
        assert 0.5 <= crank["duration_s"] <= 1.5
        rested = parked.sink.of("battery_rested")
        assert len(rested) == (hours > 3)
        assert all(12.4 <= r["battery_v"] / in_a_row <= 12.7 and 3 <= r["rested_h"] < 3.2 for r in rested)
        assert not parked.sink.of("battery_low")
        await parked.end()

    run_virtual(test)


def test_an_adapter_without_voltage_asks_now_and_then() -> None:
    async def test(loop: VirtualLoop) -> None:
        parked = Parked(loop, has_voltage=False)
        await parked.park(answers_s=3)
        await asyncio.sleep(10 * 3600)
        asked = Counter(parked.bus_commands())
        print(f"10 h without voltage: {dict(asked)}")
        assert set(asked) == {"0100"}
        assert asked["0100"] <= 15
        await parked.end()

    run_virtual(test)


@pytest.mark.slow
@pytest.mark.parametrize("in_a_row", [1, 2])
def test_a_battery_that_is_drained_is_told_of_and_spared(in_a_row: int) -> None:
    async def test(loop: VirtualLoop) -> None:
        parked = Parked(loop, in_a_row=in_a_row)
        await parked.park(answers_s=3)
        await parked.rest(2, lambda part: 12.5 - 0.4 * part)
        assert [event["level"] for event in parked.sink.of("battery_low")] == ["low"]
        assert parked.sensor.state().facts["power_advice"] == "save"
        parked.elm.sent.clear()
        await parked.rest(1, lambda part: 12.0 - 0.4 * part)
        low = len(parked.elm.sent)
        assert [event["level"] for event in parked.sink.of("battery_low")] == ["low", "empty"]
        assert parked.sensor.state().facts["power_advice"] == "off"
        assert parked.sensor.state().facts["battery"] == "empty"
        parked.elm.sent.clear()
        await parked.rest(1, lambda part: 11.5)
        print(f"readings in an hour: {low} low, {len(parked.elm.sent)} empty")
        assert 55 <= len(parked.elm.sent) <= 65
        parked.set(12.4)  # a key, a door: not even then
        await asyncio.sleep(600)
        assert not parked.bus_commands()
        parked.elm.bus_text = None
        parked.engine(is_on=True)
        parked.set(14.0)
        await asyncio.sleep(70)
        assert parked.sensor.state().link == "open"
        assert parked.sensor.state().facts["power_advice"] == "run"
        await parked.end()

    run_virtual(test)


def test_a_start_that_fails_is_told_with_its_voltage() -> None:
    async def test(loop: VirtualLoop) -> None:
        parked = Parked(loop)
        await parked.park(answers_s=3)
        await asyncio.sleep(600)
        await parked.start(is_started=False)
        (crank,) = parked.sink.of("battery_cranked")
        assert not crank["is_started"]
        assert crank["min_v"] == 9.4
        await parked.end()

    run_virtual(test)


def test_an_adapter_that_is_lost_at_night_does_not_wake_the_vehicle_when_it_comes_back() -> None:
    async def test(loop: VirtualLoop) -> None:
        parked = Parked(loop)
        parked.elm.ecus[ENGINE].pids.update({0x0C: b"\0\0", 0x0D: b"\0"})
        parked.set(12.6)
        await asyncio.sleep(200)  # it answers on, and is left alone all the same
        assert parked.sink.of("obd_lost") == [{"reason": "ignition_off"}]
        parked.elm.sent.clear()
        for _ in range(2):
            parked.elm.unplug()
            await asyncio.sleep(30)
            parked.elm.plug()
            await asyncio.sleep(60)
        assert not parked.bus_commands()
        await parked.end()

    run_virtual(test)
