"""python-OBD as a sensor on a simulated vehicle's pty, beside ours: the same values, the same manners."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
import threading
import time

import pytest

from edge.sensors.base import Sensor
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.sensor import ObdSensor
from edge.sensors.python_obd.sensor import PythonObdSensor
from edge.sensors.python_obd.values import LEFT_OUT
from edge.simulator.simulation import Rig, Simulation, SimulationConfig
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink, FakeElm, boot_ms
from tests.support.sensor_runs import running, until

pytest.importorskip("obd", reason="python-OBD is in the extra `obd`")

ID = {name: signal.id for name, signal in catalogue().by_name.items()}
OFTEN = {s.name: 1.0 for s in catalogue().signals if s.period_s > 1}
CHANGING = {ID["battery_v"]}  # the simulator's voltage has noise


def config(link: Path, **changes: object) -> ObdConfig:
    values: dict[str, object] = {"port": str(link), "periods_s": OFTEN, "profile": "none", "retry_s": 0.2}
    return ObdConfig(**(values | changes))


def with_rig(folder: Path, kind: str, work: Callable[[Rig], Awaitable[None]]) -> None:
    """A vehicle on the road whose clock stands still, so that two readings after each other can be compared."""

    async def scenario() -> None:
        settings = SimulationConfig(directory=folder, vehicles=1, kinds=(kind,), routes=("valley",), speed_factor=1e-6)
        async with Simulation(settings) as simulation:
            rig = simulation.rigs[0]
            rig.vehicle.advance_to(300)
            while rig.vehicle.speed_ms < 5:
                rig.vehicle.advance_to(rig.vehicle.clock_s + 5)
            await work(rig)

    asyncio.run(asyncio.wait_for(scenario(), 100))


async def read_by(sensor: Sensor, wanted: Callable[[CollectingSink], object]) -> CollectingSink:
    async with running(sensor) as sink:
        await until(lambda: wanted(sink), 40)
    return sink


def newest(sink: CollectingSink) -> dict[int, int]:
    return {signal_id: raw for _, _, values in sink.rows for signal_id, raw in values.items()}


@pytest.mark.parametrize("kind", ["car", "truck"])
def test_the_same_values_as_ours(tmp_path: Path, kind: str) -> None:
    async def work(rig: Rig) -> None:
        offered = {s.id for pid in rig.vehicle.kind.pids for s in catalogue().by_pid[pid]}
        ours = newest(
            await read_by(ObdSensor(config(rig.port.link), boot_ms), lambda sink: offered <= newest(sink).keys())
        )
        sensor = PythonObdSensor(config(rig.port.link), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sensor.state().link == "open", 30)
            signals = sensor.state().facts["signals"]
            assert isinstance(signals, int)
            # A second fuel system that is not there is 0 to us, and nothing to python-OBD.
            await until(lambda: len(newest(sink).keys() - CHANGING) >= signals - 1, 30)
            facts = sensor.state().facts
        theirs = newest(sink)
        assert len(theirs) > 20
        assert {i: raw for i, raw in theirs.items() if i not in CHANGING} == {
            i: ours[i] for i in theirs if i not in CHANGING
        }
        assert abs(theirs[ID["battery_v"]] - ours[ID["battery_v"]]) <= 2
        left_out = {pid for pid in rig.vehicle.kind.pids if pid in LEFT_OUT}
        assert str(facts["left_out_pids"]).split() == [f"{pid:02X}" for pid in sorted(left_out)]
        assert not {s.id for pid in left_out for s in catalogue().by_pid[pid]} & theirs.keys()
        protocol = "ISO 15765-4 CAN 29/500" if kind == "truck" else "ISO 15765-4 CAN 11/500"
        assert [data["protocol"] for data in sink.of("obd_connected")] == [protocol]
        assert not sink.marks
        assert {group for group, _, _ in sink.rows} == {"obd_1s"}
        assert all(instant % 1000 == 0 for _, instant, _ in sink.rows)

    with_rig(tmp_path, kind, work)


class EchoingElm(FakeElm):
    """Heeds ATE0, which python-OBD insists on."""

    def _at(self, command: str) -> list[str]:
        if command in ("E0", "E1"):
            self._echo = command == "E1"
        return super()._at(command)


def with_fake(folder: Path, work: Callable[[FakeElm], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(80):
            await work(elm)

    elm = EchoingElm(folder / "obd")
    elm.has_frame_count = False  # as adapters that refuse the digit: python-OBD must not need it
    try:
        asyncio.run(bounded())
    finally:
        elm.close()


def test_a_mute_adapter_never_stops_the_loop_and_a_new_plug_is_found(tmp_path: Path) -> None:
    async def work(elm: FakeElm) -> None:
        sensor = PythonObdSensor(config(elm.link), boot_ms)
        async with running(sensor) as sink:
            await until(lambda: sink.last(ID["speed_kmh"]) == 50, 30)
            longest_s = 0.0

            async def watch() -> None:
                nonlocal longest_s
                while True:
                    begun_s = time.monotonic()
                    await asyncio.sleep(0.01)
                    longest_s = max(longest_s, time.monotonic() - begun_s)

            watching = asyncio.create_task(watch())
            elm.override = lambda command: b""  # no prompt, ever
            begun_s = time.monotonic()
            await until(lambda: sensor.state().link == "failing", 10)
            assert time.monotonic() - begun_s < 6  # the next instant, then the deadline of 2 s
            elm.override = lambda command: None
            elm.unplug()
            elm.plug()
            rows = len(sink.rows)
            await until(lambda: len(sink.rows) > rows and sensor.state().link == "open", 40)
            watching.cancel()
            assert longest_s < 1.0
            elm.override = lambda command: b""
            asked = len(elm.received)
            await until(lambda: len(elm.received) > asked)  # and in the middle of this wait it is ended
        assert not [
            thread for thread in threading.enumerate() if thread.name.startswith("python-obd") and is_busy(thread)
        ]

    with_fake(tmp_path, work)


def is_busy(thread: threading.Thread) -> bool:
    thread.join(3)
    return thread.is_alive()
