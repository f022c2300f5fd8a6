"""The sensor's transport against elmulator, an adapter that is not ours: its faults by scenario and by option."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
import json
from pathlib import Path
import subprocess
import sys
import time

import pytest

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.elm import Elm
from edge.sensors.obd.errors import AdapterLost, AdapterSilent, BadAnswer, BusError, NotUnderstood, ObdError
from edge.sensors.obd.memory import Memory
from edge.sensors.obd.port import Port
from edge.sensors.obd.sensor import ObdSensor
from edge.sensors.obd.vehicle import Vehicle
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink, boot_ms
from tests.support.elmulator_peer import Reply, elmulator, good, scenario
from tests.support.sensor_runs import run, until

DEADLINE_S = 2.0
MARGIN_S = 1.0  # of a machine under load
SPEED = catalogue().by_name["speed_kmh"].id
STALL: Reply = {"response_chunks": [], "prompt": False, "post_action": "stall"}
CUT: Reply = {"response_chunks": ["7E80341"], "prompt": False, "post_action": "disconnect"}


def text(words: str, **more: object) -> Reply:
    return {"response_chunks": [words + "\r\r>"], **more}


FAULTS: Mapping[str, tuple[Reply, type[ObdError]]] = {
    "stall": (STALL, AdapterSilent),
    "disconnect_mid_frame": (CUT, AdapterLost),
    "late": (text("7E803410D6300000000", delay_ms=2600), AdapterSilent),
    "no_prompt": ({"response_chunks": ["7E803410D32\r"], "prompt": False}, AdapterSilent),
    "no_data": (text("NO DATA"), BusError),
    "can_error": (text("CAN ERROR"), BusError),
    "buffer_full": (text("7E803410D\rBUFFER FULL"), BusError),
    "bus_init_error": (text("BUS INIT: ...ERROR"), BusError),
    "unable_to_connect": (text("UNABLE TO CONNECT"), BusError),
    "data_error": (text("7E803410D63 <DATA ERROR"), BusError),
    "question_mark": (text("?"), NotUnderstood),
    "truncated": (text("7E803410D"), BadAnswer),
    "another_pid": (text("7E803410E6300000000"), BadAnswer),
    "no_echo": (text("7E803410D6300000000", echo=False), BadAnswer),
}


async def with_vehicle(url: str, test: Callable[[Vehicle], Awaitable[None]]) -> None:
    port = await Port.open(url, 0, DEADLINE_S)
    try:
        elm = await Elm.start(port, DEADLINE_S, 5.0)
        memory = Memory(protocol="6", has_frame_count=False, has_multi_pid=False)
        await test(await Vehicle.find(elm, memory, may_search=False))
    finally:
        await port.close()


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_its_error_in_time_and_the_next_read_is_good(name: str, tmp_path: Path) -> None:
    reply, error = FAULTS[name]

    async def read_twice(vehicle: Vehicle) -> None:
        begun_s = time.monotonic()
        with pytest.raises(ObdError) as caught:
            await vehicle.read((0x0D,))
        assert type(caught.value) is error
        assert time.monotonic() - begun_s < DEADLINE_S + MARGIN_S
        if error is AdapterLost:
            return
        for _ in range(4):  # a late answer may still be on its way
            try:
                assert await vehicle.read((0x0D,)) == {0x0D: b"\x32"}
            except ObdError:
                continue
            return
        raise AssertionError("not one good answer after the fault")

    with elmulator(tmp_path, scenario(name, {"010D": [reply, good("010D")]})) as url:
        run(lambda: with_vehicle(url, read_twice))


@pytest.mark.parametrize(
    "options",
    [("--split", "1,2,5"), ("--split", "1"), ("--latency-ms", "300"), ("--latency-ms", "50", "--jitter-ms", "400")],
    ids=lambda options: " ".join(options),
)
def test_pieces_latency_and_jitter_change_no_value(options: Sequence[str], tmp_path: Path) -> None:
    async def read(vehicle: Vehicle) -> None:
        for _ in range(5):
            assert await vehicle.read((0x0D,)) == {0x0D: b"\x32"}
            assert await vehicle.read((0x0C,)) == {0x0C: b"\x1f\x40"}

    with elmulator(tmp_path, scenario("plain", {}), *options) as url:
        run(lambda: with_vehicle(url, read))


def test_the_sensor_goes_through_a_row_of_them_and_measures_again(tmp_path: Path) -> None:
    faults = [reply for name, (reply, _) in FAULTS.items() if name not in ("stall", "late", "no_prompt")]
    answers = [good("010D"), *faults, {**good("010D"), "repeat": True}]

    async def body(url: str) -> None:
        config = ObdConfig(
            port=url,
            retry_s=0.1,
            retry_max_s=0.3,
            periods_s={s.name: 0.2 for s in catalogue().signals if s.period_s <= 1},
        )
        sensor, sink = ObdSensor(config, boot_ms), CollectingSink()
        task = asyncio.create_task(sensor.run(sink))

        def speeds() -> list[int]:
            return [values[SPEED] for _, _, values in sink.rows if SPEED in values]

        try:
            await until(lambda: len(speeds()) > 10 and sensor.state().link == "open", 40)
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert set(speeds()) == {50}
        assert sink.marks

    with elmulator(tmp_path, scenario("a_row", {"010D": answers})) as url:
        run(lambda: body(url))


def test_the_scenarios_are_what_elmulator_calls_valid(tmp_path: Path) -> None:
    pytest.importorskip("elmulator", reason="elmulator is not installed (dependency group emulator)")
    for name, (reply, _) in FAULTS.items():
        content = scenario(name, {"010D": [reply, good("010D")]})
        (tmp_path / f"{name}.scenario.json").write_text(json.dumps(content))
    done = subprocess.run(
        [sys.executable, "-m", "elmulator", "validate", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
