"""An adapter whose buffer holds two lines: BUFFER FULL to most questions for several PIDs at once."""

import asyncio

from edge.replay.virtual_loop import VirtualLoop
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.sensor import ObdSensor
from edge.simulator.kinds import KINDS
from edge.simulator.route import load_route
from edge.simulator.vehicle import Vehicle
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink
from tests.support.simulated_rig import START_MS, SimulatedElm

BATTERY = catalogue().by_name["battery_v"].id
BEGIN_MS, END_MS = START_MS + 25_000, START_MS + 50_000


def read(buffer_bytes: int) -> tuple[set[int], set[int], int]:
    """Signals with a value after half a minute, signals marked then, and how often the buffer was full."""

    async def body() -> tuple[CollectingSink, int]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        vehicle = Vehicle("van-01", KINDS["van"], load_route("valley"), "buffer")
        adapter, sink = SimulatedElm(vehicle, buffer_bytes=buffer_bytes), CollectingSink()
        sensor = ObdSensor(ObdConfig(port="/dev/obd", profile="none"), loop.boot_ms, adapter.open)
        task = asyncio.create_task(sensor.run(sink))
        await asyncio.sleep((END_MS - START_MS) / 1000)
        assert sensor.state().link == "open"
        count = sensor.state().facts.get("errors_buffer_full", 0)
        task.cancel()
        await asyncio.wait([task])
        assert isinstance(count, int)
        return sink, count

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(START_MS)) as runner:
        sink, count = runner.run(body())
    values = {signal for _, at, values in sink.rows if at >= BEGIN_MS for signal in values}
    marked = {signal for signals, at, _ in sink.marks if at >= BEGIN_MS for signal in signals}
    return values, marked, count


def test_it_is_asked_for_less_and_gives_every_signal() -> None:
    whole, unmarked, never = read(buffer_bytes=512)
    values, marked, count = read(buffer_bytes=45)
    assert never == 0 < count < 20
    assert values == whole
    assert BATTERY in values
    assert marked <= unmarked
