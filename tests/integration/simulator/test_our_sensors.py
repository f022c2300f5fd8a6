"""The device's own sensors, unchanged, on a simulated vehicle with a real adapter's latency."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
import time
from typing import Any

import pytest

from edge.sensors.gps import GpsConfig, GpsSensor
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.sensor import ObdSensor
from edge.simulator.elm327 import Latency
from edge.simulator.simulation import Simulation, SimulationConfig
from sync_protocol.messages import MarkKind, TimeAnchor
from sync_protocol.signals import catalogue


class Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, dict[int, int]]] = []
        self.marks: list[MarkKind] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.anchors: list[TimeAnchor] = []

    def row(self, group: str, boot_ms: int, values: Mapping[int, int]) -> None:
        self.rows.append((group, boot_ms, dict(values)))

    def mark(self, signal_ids: Iterable[int], boot_ms: int, kind: MarkKind) -> None:
        self.marks.append(kind)

    def event(self, kind: str, boot_ms: int, data: dict[str, Any]) -> None:
        self.events.append((kind, data))

    def anchor(self, anchor: TimeAnchor) -> None:
        self.anchors.append(anchor)

    def seen(self) -> set[int]:
        return {signal for _, _, values in self.rows for signal in values}

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.events}


def boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


async def until(holds: Callable[[], bool], within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("kind", ["van", "car", "compact", "truck"])
def test_everything_the_vehicle_offers_is_read(tmp_path: Path, kind: str) -> None:
    async def scenario() -> None:
        config = SimulationConfig(
            directory=tmp_path,
            vehicles=1,
            kinds=(kind,),
            routes=("fast",),
            latency=Latency(search_s=0.3),
            cold_start_s=1,
        )
        async with Simulation(config) as simulation:
            rig = simulation.rigs[0]
            rig.vehicle.troubles.stored = ["P0420"]
            rig.vehicle.troubles.pending = ["P0171"]
            rig.offset_s = 60.0  # a minute down the road
            offered = {s.id: s.name for pid in rig.vehicle.kind.pids for s in catalogue().by_pid[pid]}
            often = {s.name: 2.0 for s in catalogue().signals if s.name in offered.values() and s.period_s > 2}
            obd = ObdSensor(ObdConfig(port=str(rig.port.link), periods_s=often, profile="none"), boot_ms)
            gps = GpsSensor(GpsConfig(port=rig.gpsd.port), boot_ms)
            kept = Kept()
            tasks = [asyncio.create_task(obd.run(kept)), asyncio.create_task(gps.run(kept))]
            try:
                await until(lambda: len([r for r in kept.rows if r[0].startswith("obd") and 15 in r[2]]) >= 5, 25)
                await until(lambda: offered.keys() <= kept.seen() and {128, 129} <= kept.seen(), 25)
                await until(lambda: {"vin_read", "dtc_set"} <= kept.kinds(), 10)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            assert dict(kept.events)["vin_read"]["vin"] == rig.vehicle.vin
            codes = {(data["code"], data["status"]) for kind_, data in kept.events if kind_ == "dtc_set"}
            assert {("P0420", "stored"), ("P0171", "pending")} <= codes
            speed = [values[15] for _, _, values in kept.rows if 15 in values][-1]
            assert abs(speed - rig.vehicle.speed_ms * 3.6) < 15
            assert kept.anchors

    asyncio.run(asyncio.wait_for(scenario(), 90))


def test_a_parked_vehicle_is_left_to_sleep_and_found_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = SimulationConfig(
            directory=tmp_path,
            vehicles=1,
            kinds=("car",),
            routes=("fast",),
            latency=Latency(search_s=0.3),
            speed_factor=5,
        )
        async with Simulation(config) as simulation:
            rig = simulation.rigs[0]
            rig.offset_s = 60.0
            patience = {"quiet_after_s": 3.0, "probe_spacing_s": 1.0, "probe_period_s": 2.0, "voltage_period_s": 0.5}
            obd = ObdSensor(ObdConfig(port=str(rig.port.link), **patience), boot_ms)
            kept = Kept()
            task = asyncio.create_task(obd.run(kept))
            try:
                await until(lambda: obd.state().link == "open" and bool(kept.rows), 20)
                rig.vehicle.driver.park()
                await until(lambda: not rig.vehicle.has_ignition, 20)
                await until(lambda: obd.state().link == "closed", 30)
                rig.vehicle.driver.resume()
                await until(lambda: rig.vehicle.is_running, 20)
                before = len(kept.rows)
                await until(lambda: obd.state().link == "open" and any(15 in r[2] for r in kept.rows[before:]), 30)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert [kind for kind, _ in kept.events].count("obd_lost") >= 1

    asyncio.run(asyncio.wait_for(scenario(), 120))
