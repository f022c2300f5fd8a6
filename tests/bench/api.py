"""How long a page waits: each read that a page makes, of the real service over a large store, while frames come in.

    python -m tests.bench.api                      1,000 vehicles, 50 M rows, 100 frames/s
    python -m tests.bench.api --rows 2000000       smaller

The store is made into build/bench/api-<rows> as a running service leaves it (`tests/bench/api_store.py`), and questions
are asked up to now: what is missing since it was made is printed as its age, and `--fresh` makes it again. Beside the
API stand an answer without a query (`/health`) and the bare query of DuckDB, of the same run.
"""

import argparse
import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
import random
import shutil
import subprocess
import sys
import time
from typing import Any

import duckdb
import nats
import numpy as np

from tests.bench import api_store
from tests.bench.report import Figure, report
from tests.support.caller import api_client, read
from tests.support.cloud_process import CloudProcess
from tests.support.frames import Drive

ROUNDS = 100
FRAMES_A_SECOND = 100
WARM_S = 20
CHART = "speed_kmh,engine_rpm,coolant_c,fuel_level_pct"
Query = dict[str, str | int]


def reads(clock: Callable[[], datetime]) -> dict[str, Callable[[int], tuple[str, Query]]]:
    """What the pages ask, for one vehicle each, up to the clock's time."""

    def back(hours: float) -> Query:
        now = clock()
        return {"from": (now - timedelta(hours=hours)).isoformat(), "to": now.isoformat()}

    def chart(hours: float) -> Callable[[int], tuple[str, Query]]:
        return lambda v: (f"/vehicles/{v}/history", {"signals": CHART, "points": 800, **back(hours)})

    return {
        "fleet: vehicles, all": lambda _: ("/vehicles", {"limit": 1000}),
        "fleet: summary": lambda _: ("/summary", {}),
        "vehicle: head": lambda v: (f"/vehicles/{v}", {}),
        "vehicle: values": lambda v: (f"/vehicles/{v}/state", {}),
        "vehicle: track 3 h": lambda v: (f"/vehicles/{v}/track", back(3)),
        "vehicle: chart 15 min": chart(0.25),
        "vehicle: chart 1 h": chart(1),
        "vehicle: chart 24 h": chart(24),
        "vehicle: chart 7 d": chart(7 * 24),
        "vehicle: states 24 h": lambda v: (f"/vehicles/{v}/states", back(24)),
        "vehicle: faults": lambda v: (f"/vehicles/{v}/faults", {}),
        "vehicle: events 30 d": lambda v: (f"/vehicles/{v}/events", {"limit": 50}),
        "ledger: devices": lambda _: ("/devices", {}),
        "ledger: device": lambda v: (f"/devices/{api_store.device(v)}/ledger", {}),
        "signals": lambda _: ("/signals", {}),
    }


def main() -> None:
    """Build what is missing, run, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--fresh", action="store_true", help="make the store again")
    parser.add_argument("--load", metavar="NATS_URL", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        asyncio.run(load(options.load))
        return
    folder = Path("build/bench") / f"api-{options.rows}"
    if options.fresh or not (folder / "built").exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"building {folder} ...", flush=True)
        api_store.build(folder, options.rows)
        (folder / "built").touch()
    run(folder, options.rows, options.rounds)


def run(folder: Path, rows: int, rounds: int) -> None:
    """Measure over one store."""
    end = end_of(folder / "telemetry.duckdb")
    with duckdb.connect(str(folder / "telemetry.duckdb"), read_only=True) as connection:
        bare = bare_query(connection, end, rounds)
    age_min = (datetime.now(UTC) - end).total_seconds() / 60
    process = CloudProcess(folder).start()
    sender = subprocess.Popen([sys.executable, "-m", "tests.bench.api", "--load", process.nats_url])
    try:
        time.sleep(WARM_S)
        times, floor = ask_all(process.url, reads(lambda: datetime.now(UTC)), api_store.VEHICLES, rounds)
        stored = read(process.url, "/summary")
    finally:
        sender.terminate()
        sender.wait()
        process.stop()
    show({"rows": rows, "store_age_min": round(age_min)}, times, floor, bare, stored)


def end_of(file: Path) -> datetime:
    """When the rows that the store was made with end."""
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute("SELECT max(ts) FROM tel_base WHERE stream_no <= ?", [api_store.VEHICLES]).fetchone()
    assert found is not None
    end: datetime = found[0]
    return end.replace(tzinfo=UTC)


def bare_query(connection: duckdb.DuckDBPyConnection, end: datetime, rounds: int) -> list[float]:
    """The reference: one vehicle's hour of four signals, nothing around it."""
    start = (end - timedelta(hours=1)).replace(tzinfo=None)
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        connection.execute(
            f"SELECT epoch_ms(ts), {CHART} FROM tel WHERE tenant_id = 1 AND vehicle_id = ? AND ts >= ? AND ts < ?"
            " ORDER BY ts",
            [random.randint(1, api_store.VEHICLES), start, end.replace(tzinfo=None)],
        ).fetchnumpy()
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def ask_all(
    url: str, pages: dict[str, Callable[[int], tuple[str, Query]]], vehicles: int, rounds: int
) -> tuple[dict[str, list[float]], list[float]]:
    """Milliseconds of each read; one after the other in mixed order, as a person goes through pages."""
    times: dict[str, list[float]] = {name: [] for name in pages}
    floor: list[float] = []
    with api_client(url, 60) as client:
        for turn in range(-2, rounds):
            vehicle = random.randint(1, vehicles)
            for name, make in pages.items():
                path, query = make(vehicle)
                begun = time.perf_counter()
                answer = client.get(f"/api/v1{path}", params=query)
                taken = (time.perf_counter() - begun) * 1000
                answer.raise_for_status()
                if turn >= 0:
                    times[name].append(taken)
            begun = time.perf_counter()
            client.get("/health").raise_for_status()
            floor.append((time.perf_counter() - begun) * 1000)
    return times, floor


def quantiles(values: list[float]) -> tuple[float, float]:
    """Median and 99th percentile."""
    return float(np.percentile(values, 50)), float(np.percentile(values, 99))


def show(
    store: dict[str, int], times: dict[str, list[float]], floor: list[float], bare: list[float], summary: Any
) -> None:
    """The table."""

    worst = max(times, key=lambda name: quantiles(times[name])[1])
    figures = [
        Figure("p99_ms", quantiles(times[worst])[1], "ms", "50", f"the worst read: {worst}"),
        Figure("p50_ms", quantiles(times[worst])[0], "ms", "", "of the same"),
        Figure("health_p99_ms", quantiles(floor)[1], "ms", "", "reference: an answer without a query"),
        Figure("bare_query_p99_ms", quantiles(bare)[1], "ms", "", "reference: DuckDB alone, a vehicle's hour, no load"),
        Figure("bare_query_p50_ms", quantiles(bare)[0], "ms", "", ""),
    ]
    for name, values in times.items():
        middle, high = quantiles(values)
        figures.append(Figure(name, high, "ms", "", f"p99; p50 {middle:.1f} ms"))
    facts = {**store, "vehicles": api_store.VEHICLES, "rounds": len(floor), "frames_per_s": FRAMES_A_SECOND}
    report("api", figures, {**facts, "frames_stored": summary["frames"]["stored"], "doubled": summary["doubled"]})


async def load(url: str) -> None:
    """Every vehicle a frame each ten seconds, for ever."""
    client = await nats.connect(url)
    begin_ms = time.time_ns() // 1_000_000
    drives = [Drive(random.getrandbits(40), epoch_ms=begin_ms - 5_000) for _ in range(api_store.VEHICLES)]
    started = time.monotonic()
    sent = 0
    while True:
        due = int((time.monotonic() - started) * FRAMES_A_SECOND)
        for at in range(sent, due):
            seq, number = divmod(at, api_store.VEHICLES)
            await client.publish(f"f.demo.{api_store.device(number + 1)}", drives[number].frame(seq + 1))
        sent = due
        await client.flush()
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    main()
