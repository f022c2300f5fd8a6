"""Makes the recordings in tests/data/recordings: scenes with our own simulator, in virtual time, redacted.

`python -m tests.replay.make_recordings [NAME ...]`. Needed only for a new scene, or when the format gains something.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
import sys
import tempfile

from edge.replay.redaction import Redaction, redact
from edge.replay.virtual_loop import VirtualLoop
from edge.sensors.obd.config import ObdConfig
from tests.support.elm_fakes import FakeEcu, engine
from tests.support.loop_elm import LoopElm
from tests.support.simulated_rig import START_MS, SimulatedRig

OUT = Path("tests/data/recordings")


async def city_drive(path: Path, folder: Path) -> None:
    """A minute and a half in town; for a while somebody looks at the vehicle."""
    rig = SimulatedRig("compact", "valley", "city")
    async with rig.recorded(path, folder, ObdConfig()) as agent:
        await asyncio.sleep(40)
        agent.tap.watch(10)
        await asyncio.sleep(50)


async def cold_start_codes(path: Path, folder: Path) -> None:
    """From a cold start; a code is set, read, and cleared by a workshop."""
    rig = SimulatedRig("car", "valley", "cold")
    async with rig.recorded(path, folder, ObdConfig(dtc_period_s=10)):
        await asyncio.sleep(20)
        rig.vehicle.troubles.stored = ["P0301", "P0420"]
        rig.vehicle.troubles.pending = ["P0171"]
        await asyncio.sleep(20)
        rig.vehicle.troubles.clear()
        await asyncio.sleep(25)


async def adapter_unplugged(path: Path, folder: Path) -> None:
    """The adapter hangs, answers again, is pulled in the middle of a request, and comes back."""
    rig = SimulatedRig("van", "valley", "plug")
    async with rig.recorded(path, folder, ObdConfig()):
        await asyncio.sleep(15)
        rig.elm.is_mute = True
        await asyncio.sleep(7)
        rig.elm.is_mute = False
        await asyncio.sleep(12.013)
        rig.elm.unplug()
        await asyncio.sleep(12)
        rig.elm.is_plugged = True
        await asyncio.sleep(15)


async def sleep_and_wake(path: Path, folder: Path) -> None:
    """Parked with the ignition off: the bus is left alone. Then it drives on."""
    rig = SimulatedRig("truck", "valley", "sleep")
    patience = ObdConfig(quiet_after_s=10, probe_spacing_s=5, probe_period_s=20, voltage_period_s=2)
    async with rig.recorded(path, folder, patience):
        await asyncio.sleep(15)
        rig.vehicle.driver.park()
        await asyncio.sleep(60)
        rig.vehicle.driver.resume()
        await asyncio.sleep(30)


async def gps_lost(path: Path, folder: Path) -> None:
    """A tunnel, a gpsd that is started anew, and satellite time that steps by an hour."""
    rig = SimulatedRig("compact", "valley", "tunnel")
    async with rig.recorded(path, folder, ObdConfig()):
        await asyncio.sleep(12)
        rig.receiver.is_covered = True
        await asyncio.sleep(10)
        rig.receiver.is_covered = False
        await asyncio.sleep(8)
        port = rig.gpsd.port
        await rig.gpsd.stop()
        await asyncio.sleep(3)
        await rig.gpsd.start(port)
        await asyncio.sleep(8)
        rig.utc_step_s = 3600
        await asyncio.sleep(12)


async def k_line_clone(path: Path, folder: Path) -> None:
    """ISO 9141-2 behind a clone that knows one PID a request and no frame count."""
    ecu: FakeEcu = engine(stored=["P0143"])
    elm = LoopElm({0x10: ecu})
    elm.protocol, elm.latency_s = "3", 0.11
    elm.has_multi_pid = elm.has_frame_count = False
    rig = SimulatedRig("compact", "valley", "k-line", elm)
    async with rig.recorded(path, folder, ObdConfig()):
        for speed_kmh in range(0, 60, 2):
            ecu.pids[0x0D] = bytes([speed_kmh])
            ecu.pids[0x0C] = (4 * (800 + 30 * speed_kmh)).to_bytes(2, "big")
            await asyncio.sleep(1.7)


Scene = Callable[[Path, Path], Awaitable[None]]
SCENES: tuple[Scene, ...] = (city_drive, cold_start_codes, adapter_unplugged, sleep_and_wake, gps_lost, k_line_clone)


def make(scene: Scene, target: Path) -> None:
    """Play a scene, and write its redacted recording."""
    with tempfile.TemporaryDirectory(prefix="mp") as folder:
        raw = Path(folder) / "raw.jsonl"
        with asyncio.Runner(loop_factory=lambda: VirtualLoop(START_MS)) as runner:

            async def body() -> None:
                await scene(raw, Path(folder))

            runner.run(body())
        target.unlink(missing_ok=True)
        redact(raw, target, Redaction())


def main() -> None:
    for scene in SCENES:
        if len(sys.argv) < 2 or scene.__name__ in sys.argv[1:]:
            target = OUT / f"{scene.__name__}.jsonl.gz"
            make(scene, target)
            print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
