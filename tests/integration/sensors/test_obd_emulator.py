"""The OBD sensor against ELM327-emulator on a pty."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.errors import ObdError
from edge.sensors.obd.sensor import ObdSensor
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink, boot_ms
from tests.support.elm_peer import VIN, elm_peer
from tests.support.sensor_runs import running, until

ID = {name: signal.id for name, signal in catalogue().by_name.items()}
QUICK = {s.name: {1: 0.1, 10: 0.5, 60: 1.0}[int(s.period_s)] for s in catalogue().signals if s.period_s >= 1}


def config(link: Path) -> ObdConfig:
    return ObdConfig(
        port=str(link),
        periods_s=QUICK,
        state_path=str(link.parent / "state" / "obd.json"),
        retry_s=0.2,
        retry_max_s=0.5,
        voltage_period_s=0.1,
        probe_spacing_s=0.2,
        dtc_period_s=0.5,
    )


def run(test: Callable[[ObdSensor, CollectingSink], Awaitable[None]], link: Path) -> None:
    async def body() -> None:
        sensor = ObdSensor(config(link), boot_ms)
        async with running(sensor) as sink:
            await test(sensor, sink)

    asyncio.run(asyncio.wait_for(body(), 90))


def test_a_drive_with_codes_and_a_new_plug(tmp_path: Path) -> None:
    with elm_peer(tmp_path) as elm:

        async def test(sensor: ObdSensor, sink: CollectingSink) -> None:
            await until(lambda: sink.last(ID["speed_kmh"]) == 50 and sink.of("vin_read"))
            assert sink.last(ID["engine_rpm"]) == 8_000
            assert sink.of("vin_read") == [{"vin": VIN}]
            assert sink.of("obd_connected")[0]["protocol"] == "ISO 15765-4 CAN 11/500"
            await until(lambda: sink.last(ID["battery_v"]) == 141)
            assert sensor.state().facts["pids_per_request"] == 6
            assert not sink.of("dtc_set")

            elm.tell('car.dtcs = ["P0143", "C0300", "B1234", "U0100"]; car.pending = ["P0420"]')
            await until(lambda: len(sink.of("dtc_set")) == 5)
            assert {(d["code"], d["status"]) for d in sink.of("dtc_set")} == {
                ("P0143", "stored"),
                ("C0300", "stored"),
                ("B1234", "stored"),
                ("U0100", "stored"),
                ("P0420", "pending"),
            }
            await until(lambda: sink.last(ID["dtc_count"]) == 4 and sink.last(ID["is_mil_on"]) == 1)
            assert await sensor.read_vin() == VIN
            assert [d.code for d in (await sensor.read_dtcs()).codes if d.status == "pending"] == ["P0420"]

            elm.unplug()
            await until(lambda: sensor.state().link == "failing")
            with pytest.raises(ObdError):
                await sensor.read_dtcs()
            elm.start()
            before = len(sink.rows)
            await until(lambda: len(sink.rows) > before + 5)
            assert sink.kinds().count("obd_connected") == 2
            # The vehicle that came back has no codes: the four and the pending one are cleared, by its own word.
            await until(lambda: len(sink.of("dtc_cleared")) == 5)

        run(test, elm.link)
    assert not list(tmp_path.glob("*.log"))


def test_ignition_off_and_on(tmp_path: Path) -> None:
    with elm_peer(tmp_path) as elm:

        async def test(sensor: ObdSensor, sink: CollectingSink) -> None:
            await until(lambda: sink.last(ID["speed_kmh"]) == 50)
            elm.tell('car.is_running = False; car.fault = "NO DATA"')
            await until(lambda: sink.of("obd_lost") and sensor.state().link == "closed")
            await until(lambda: sink.last(ID["battery_v"]) == 123)
            rows = len(sink.rows)
            elm.tell("car.is_running = True; car.fault = None")
            await until(lambda: sensor.state().link == "open")
            await until(lambda: len([r for r in sink.rows[rows:] if ID["speed_kmh"] in r[2]]) > 2)
            assert sink.of("obd_lost") == [{"reason": "no_answer"}]

        run(test, elm.link)
