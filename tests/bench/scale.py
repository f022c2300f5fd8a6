"""What becomes slower as a store grows: ingest and reads over 1, 10 and 100 million rows, beside the smallest.

    python -m tests.bench.scale --rows 1000000 10000000 100000000

The fleet grows with the store (10, 100, 1,000 vehicles, a row a second each, 28 hours), so that every answer but the
lists has the same size and only what lies around it grows. The stores are built through `TelemetryStore.write_sync` as
the service would have left them (`tests/bench/api_store.py`): sorted slices of ten minutes, tiers of a week, frames
whose bodies do not compress, the last quarter of an hour as it came; what a slice holds is made in SQL, not decoded.
They are removed at the end, unless `--keep` is given. Reads go to the real service, which has nothing else to do, and
once more to the store alone for the CPU time of the thread that asks, which a busy machine disturbs less; ingest drains
a backlog of 2,000 new devices into the same store.
"""

import argparse
from collections.abc import Callable
from datetime import datetime
from functools import partial
import os
from pathlib import Path
import random
import shutil
import time

import psutil

from cloud.config import TelemetryConfig
from cloud.telemetry.history import history, track
from cloud.telemetry.ledger_view import device_ledger
from cloud.telemetry.spans import spans
from cloud.telemetry.store import Cursor, TelemetryStore
from tests.bench import api, api_store, ingest
from tests.bench.report import Figure, report
from tests.support.cloud_process import CloudProcess

Read = Callable[[Cursor, int], object]
ROWS_A_VEHICLE = 100_000
ROUNDS = 40
FRAMES, DEVICES = 20_000, 2_000
READS = (
    "fleet: vehicles, all",
    "vehicle: head",
    "vehicle: track 3 h",
    "vehicle: chart 1 h",
    "vehicle: chart 24 h",
    "vehicle: chart 7 d",
    "ledger: device",
)


def main() -> None:
    """Build, measure, remove, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000, 100_000_000])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--keep", action="store_true", help="leave the stores in build/bench")
    options = parser.parse_args()
    found: dict[int, dict[str, float]] = {}
    for rows in options.rows:
        folder = Path("build/bench") / f"scale-{rows}"
        vehicles = max(1, rows // ROWS_A_VEHICLE)
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            print(f"building {folder} ...", flush=True)
            begun = time.monotonic()
            api_store.build(folder, rows, vehicles)
            (folder / "built").touch()
            print(f"  {time.monotonic() - begun:.0f} s", flush=True)
        found[rows] = measure(folder, vehicles, options.rounds)
        if not options.keep:
            shutil.rmtree(folder)
    show(found)


def measure(folder: Path, vehicles: int, rounds: int) -> dict[str, float]:
    """All figures of one store."""
    file = folder / "telemetry.duckdb"
    figures: dict[str, float] = {"file_mb": file.stat().st_size / 1e6, "vehicles": vehicles}
    end = api.end_of(file)
    begun = time.monotonic()
    process = CloudProcess(folder).start()
    try:
        figures["start_s"] = time.monotonic() - begun
        figures |= read(process.url, vehicles, rounds, end)
        assert process.status is not None
        figures["rss_mb"] = psutil.Process(process.status.pid).memory_info().rss / 1e6
    finally:
        begun = time.monotonic()
        process.stop()
        figures["stop_s"] = time.monotonic() - begun
    return figures | cpu(file, vehicles, rounds, end) | drain(folder)


def read(url: str, vehicles: int, rounds: int, end: datetime) -> dict[str, float]:
    """Median and worst percentile of each read, in ms; asked up to the store's end."""
    every = api.reads(lambda: end)
    times, _ = api.ask_all(url, {name: every[name] for name in READS}, vehicles, rounds)
    out: dict[str, float] = {}
    for name, values in times.items():
        out[f"{name} p50"], out[f"{name} p99"] = api.quantiles(values)
    return out


def cpu(file: Path, vehicles: int, rounds: int, end: datetime) -> dict[str, float]:
    """Median CPU of the store's part of each read, in ms."""
    to_us = int(end.timestamp() * 1e6)
    signals = api.CHART.split(",")

    def chart(hours: float) -> Read:
        return lambda cursor, v: history(cursor, 1, v, signals, to_us - int(hours * 3.6e9), to_us)

    reads: dict[str, Read] = {
        "track 3 h": lambda cursor, v: track(cursor, 1, v, to_us - 10_800_000_000, to_us),
        "chart 1 h": chart(1),
        "chart 24 h": chart(24),
        "chart 7 d": chart(7 * 24),
        "ledger": lambda cursor, v: (device_ledger(cursor, 1, v), spans(cursor, 1, v, 0)),
    }
    taken: dict[str, list[float]] = {name: [] for name in reads}
    store = TelemetryStore(file, TelemetryConfig())
    store.open()
    for _ in range(rounds):
        for name, ask in reads.items():
            begun = time.thread_time()
            store.read_sync(partial(ask, v=random.randint(1, vehicles)))
            taken[name].append((time.thread_time() - begun) * 1000)
    store.close()
    return {f"{name} cpu_ms": api.quantiles(values)[0] for name, values in taken.items()}


def drain(folder: Path) -> dict[str, float]:
    """Frames a second of a backlog, and the CPU of ingest and broker for each."""
    cloud = ingest.Cloud(folder)
    try:
        rate, cpu_us = ingest.drained(cloud, FRAMES, DEVICES)
        rss = cloud.ingest.memory_info().rss
    finally:
        cloud.stop()
    return {"frames_per_s": rate, "cpu_us_frame": cpu_us, "ingest_rss_mb": rss / 1e6}


def show(found: dict[int, dict[str, float]]) -> None:
    """One line a figure: the smallest store's value, then each larger one's ratio to it."""
    sizes = sorted(found)
    base = found[sizes[0]]
    figures = []
    for name in base:
        for rows in sizes:
            value = found[rows][name]
            note = "" if rows == sizes[0] else f"{value / base[name]:.2f} times that of {sizes[0]:,} rows"
            figures.append(Figure(f"{name} @ {rows / 1e6:g} M", value, "", "", note))
    load = os.getloadavg()
    report("scale", figures, {"rows": sizes, "load_1m": round(load[0], 1), "load_15m": round(load[2], 1)})


if __name__ == "__main__":
    main()
