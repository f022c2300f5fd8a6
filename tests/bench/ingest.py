"""How fast ingest drains a backlog beside a bare append of the same rows, and what a steady fleet costs.

Ingest runs in a process of its own, with nats-server as its child; this process is the fleet.
"""

import argparse
import asyncio
from contextlib import suppress
import json
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time

import nats
import psutil

from cloud.config import IngestConfig, LimitsConfig, NatsConfig, TelemetryConfig
from cloud.live.hub import LiveHub
from cloud.telemetry.insert import insert_table
from cloud.telemetry.project import project
from cloud.telemetry.reproject import decode_rows, stored_frames
from cloud.telemetry.schema import add_columns
from cloud.telemetry.store import Cursor, TelemetryStore
from cloud.telemetry.timeline import Timeline
from sync_protocol.signals import catalogue
from sync_protocol.subjects import up
from tests.bench.report import Figure, report
from tests.support.fleet import Plane
from tests.support.frames import GPS_SIGNALS, OBD_SIGNALS, CheapFleet


async def child(folder: Path) -> None:
    """Ingest and hub until stdin closes; a line of counters for each line on stdin."""
    plane = Plane(
        folder,
        ingest=IngestConfig(limits=LimitsConfig(frames_per_s=1e6, frames_burst=1_000_000)),
        nats_config=NatsConfig(port=0, disk_reserve_bytes=0),
    )
    plane.open()
    hub = LiveHub(plane.registry, plane.ingest.publish)
    plane.ingest._on_live = hub.apply  # the bench has no other use for the updates
    loop = asyncio.get_running_loop()
    async with plane.running():
        print(plane.broker.url, flush=True)
        while line := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
            if line == "stop":
                break
            c = plane.ingest.counters
            print(json.dumps({"stored": c.stored, "waiting": c.waiting, "lag_s": plane.ingest.lag_s}), flush=True)
    plane.close()


class Cloud:
    """The child process."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.ingest", "--child", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("wb"),
            text=True,
        )
        self.url = ""
        while not self.url.startswith("nats://"):
            self.url = self._line()
        self.ingest = psutil.Process(self.process.pid)
        self.broker = next(p for p in self.ingest.children() if "nats" in p.name())

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the ingest process ended")
        return line.strip()

    def counters(self) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write("count\n")
        self.process.stdin.flush()
        while True:
            with suppress(ValueError):
                found: dict[str, float] = json.loads(self._line())
                return found

    def cpu_s(self) -> tuple[float, float]:
        return tuple(sum(p.cpu_times()[:2]) for p in (self.ingest, self.broker))

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("stop\n")
        self.process.stdin.flush()
        self.process.wait(60)


async def fill(url: str, fleet: CheapFleet, frames: int) -> None:
    """Publish as fast as the broker takes it."""
    client = await nats.connect(url, pending_size=256 * 1024**2)
    devices = len(fleet.streams)
    subjects = [up("demo", f"d{device}") for device in range(devices)]
    for i in range(frames):
        await client.publish(subjects[i % devices], fleet.next(i % devices))
        if i % 500 == 0:
            await client.flush()
    await client.flush()
    await client.close()


async def steady(url: str, fleet: CheapFleet, rate: float, seconds: float) -> None:
    """`rate` frames/s, evenly spread over the devices and the time."""
    client = await nats.connect(url)
    devices = len(fleet.streams)
    subjects = [up("demo", f"d{device}") for device in range(devices)]
    begun, sent = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - begun) < seconds:
        while sent < elapsed * rate:
            await client.publish(subjects[sent % devices], fleet.next(sent % devices))
            sent += 1
        await asyncio.sleep(0.002)
    await client.close()


def drain(frames: int, devices: int) -> tuple[float, float, float, float]:
    """Frames/s of a backlog, samples a frame, frames/s of a bare append of the same rows, CPU us a frame drained."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cloud = Cloud(folder)
        rate, cpu_us = drained(cloud, frames, devices)
        cloud.stop()
        bare, samples = bare_append(folder / "telemetry.duckdb", folder / "bare.duckdb", frames)
    return rate, samples, bare, cpu_us


def drained(cloud: Cloud, frames: int, devices: int) -> tuple[float, float]:
    """Frames/s of a backlog of new devices, and CPU us a frame."""
    fleet = CheapFleet(devices)
    asyncio.run(fill(cloud.url, fleet, min(devices, frames)))  # registers the devices, opens the streams
    wait_for(cloud, min(devices, frames))
    cloud.process.send_signal(signal.SIGSTOP)  # the backlog grows in the broker
    asyncio.run(fill(cloud.url, fleet, frames))
    begun, before = time.perf_counter(), cloud.cpu_s()
    cloud.process.send_signal(signal.SIGCONT)
    wait_for(cloud, min(devices, frames) + frames)
    rate = frames / (time.perf_counter() - begun)
    return rate, sum(b - a for a, b in zip(before, cloud.cpu_s(), strict=True)) / frames * 1e6


def wait_for(cloud: Cloud, stored: int) -> None:
    while cloud.counters()["stored"] < stored:
        time.sleep(0.02)


def bare_append(path: Path, target: Path, limit: int) -> tuple[float, float]:
    """Append the projected rows of stored frames, 2,000 frames a transaction, and nothing else."""
    source = TelemetryStore(path, TelemetryConfig())
    source.open()
    timeline = Timeline()
    timeline.add(0, 1_780_000_000_000, "gps")

    def tables(cursor: Cursor) -> tuple[list[object], int, int]:
        out, count, samples = [], 0, 0
        for rows in stored_frames(cursor, "seq > 1", [], chunk=2000):
            frames, part = decode_rows(rows)
            out.append(project(frames, part, lambda _s, _b: timeline, lambda device, _ts: device)[0].tel)
            count += len(frames)
            samples += sum(f.header.samples for f in frames)
            if count >= limit:
                break
        return out, count, samples

    parts, count, samples = source.read_sync(tables)
    source.close()
    bare = TelemetryStore(target, TelemetryConfig())
    bare.open()
    signals = [signal for name in (*OBD_SIGNALS, *GPS_SIGNALS) if (signal := catalogue().by_name.get(name)) is not None]
    bare.write_sync(lambda cursor: add_columns(cursor, signals))
    begun = time.perf_counter()
    for part in parts:
        bare.write_sync(lambda cursor, part=part: insert_table(cursor, "tel_base", part))
    took = time.perf_counter() - begun
    bare.close()
    return count / took, samples / count


def steady_cost(rate: float, devices: int, seconds: float) -> tuple[float, float, float]:
    """CPU percent of one core: ingest, broker; and the share of frames stored two seconds after the end."""
    with tempfile.TemporaryDirectory() as name:
        cloud = Cloud(Path(name))
        fleet = CheapFleet(devices)
        asyncio.run(fill(cloud.url, fleet, devices))
        wait_for(cloud, devices)
        time.sleep(1)
        before, begun, first = cloud.cpu_s(), time.perf_counter(), cloud.counters()["stored"]
        asyncio.run(steady(cloud.url, fleet, rate, seconds))
        took, after = time.perf_counter() - begun, cloud.cpu_s()
        time.sleep(2)
        stored = cloud.counters()["stored"] - first
        cloud.stop()
    return 100 * (after[0] - before[0]) / took, 100 * (after[1] - before[1]) / took, stored / (rate * seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--child", type=Path)
    parser.add_argument("--frames", type=int, default=60_000)
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--only-drain", action="store_true")
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    if options.child is not None:
        asyncio.run(child(options.child))
        return
    rate, samples, bare, cpu_us = drain(options.frames, options.devices)
    if options.only_drain:
        print(f"{rate:,.0f} frames/s, bare {bare:,.0f}, {cpu_us:.0f} us CPU a frame")
        return
    cpu, broker_cpu, share = steady_cost(1000.0, options.devices, options.seconds)
    report(
        "ingest",
        [
            Figure("samples_per_s", rate * samples, "samples/s", "2,000,000", f"{rate:,.0f} frames/s drained"),
            Figure("ratio_to_bare_append", rate / bare, "", "0.4", f"the same rows alone: {bare:,.0f} frames/s"),
            Figure("drain_cpu_us", cpu_us, "us/frame", "", "CPU of ingest and nats-server while draining"),
            Figure("cpu_pct", cpu, "% of a core", "40", f"1,000 frames/s of {options.devices:,} devices"),
            Figure("broker_cpu_pct", broker_cpu, "% of a core", "", "nats-server, same run"),
            Figure("stored_share", share, "", "1", "stored two seconds after the last frame"),
        ],
        {"frames": options.frames, "devices": options.devices, "samples_a_frame": samples},
    )


if __name__ == "__main__":
    main()
