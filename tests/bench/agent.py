"""What the agent costs its computer: memory, CPU and start, with a simulated vehicle and a real cloud.

`--seconds 60`: how long it is watched after a warm-up of 20 s. References of the same run: each import's share.
"""

import argparse
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import time

import psutil

from edge.control import ask
from sync_protocol.errors import MilepostError
from tests.bench.report import Figure, report
from tests.support.cloud_process import CloudProcess, eventually

WARM_UP_S = 20.0
IMPORTS = ("asyncio", "msgspec", "numpy", "zstandard", "nats", "serial", "structlog", "click", "edge.app")


def import_memory() -> list[Figure]:
    """Resident memory after each import, one after the other in a fresh interpreter; MB each one adds."""
    code = (
        "import sys, psutil\n"
        "me = psutil.Process()\n"
        "print(me.memory_info().rss)\n"
        f"for name in {IMPORTS!r}:\n"
        "    __import__(name)\n"
        "    print(me.memory_info().rss)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    sizes = [int(line) / 2**20 for line in done.stdout.split()]
    figures = [Figure("empty Python with psutil", sizes[0], "MB")]
    figures += [Figure(f"  + {name}", b - a, "MB") for name, a, b in zip(IMPORTS, sizes, sizes[1:], strict=False)]
    return figures


def watch(directory: Path, seconds: float) -> list[Figure]:
    """Run simulator, cloud and agent; watch the agent."""
    cloud = CloudProcess(directory / "cloud").start()
    vehicles = directory / "vehicles"
    simulator = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "edge.cli",
            "simulate",
            "-n",
            "1",
            "--kinds",
            "compact",
            "--dir",
            str(vehicles),
            "--quiet",
        ]
    )
    agent: subprocess.Popen[bytes] | None = None
    try:
        eventually((vehicles / "control.sock").exists, "the simulator")
        facts = json.loads(next(vehicles.glob("*/simulator.json")).read_bytes())
        config = directory / "device.toml"
        config.write_text(
            f'tenant = "demo"\ndevice = "bench"\nstate_dir = "{directory}"\n{facts["device_toml"]}\n'
            f'[uplink]\nurl = "{cloud.nats_url}"\n'
        )
        began = time.perf_counter()
        agent = subprocess.Popen(
            [sys.executable, "-m", "edge.cli", "--config", str(config), "run"], stderr=subprocess.DEVNULL
        )
        eventually(lambda: _answers(directory / "agent.sock"), "the agent")
        start_s = time.perf_counter() - began
        process = psutil.Process(agent.pid)
        time.sleep(WARM_UP_S)
        before, samples_before, at = process.cpu_times(), _samples(directory), time.perf_counter()
        sim = psutil.Process(simulator.pid)
        sim_before = sim.cpu_times()
        time.sleep(seconds)
        took = time.perf_counter() - at
        after, samples_after, sim_after = process.cpu_times(), _samples(directory), sim.cpu_times()
        rss_mb = process.memory_info().rss / 2**20
        status = ask(directory / "agent.sock", "status")
    finally:
        for child in (agent, simulator):
            if child is not None:
                child.terminate()
                child.wait(20)
        cloud.stop()
    cpu = (after.user + after.system - before.user - before.system) / took * 100
    sim_cpu = (sim_after.user + sim_after.system - sim_before.user - sim_before.system) / took * 100
    rate = (samples_after - samples_before) / took
    return [
        Figure("rss_mb", rss_mb, "MB", "80", f"peak {status['memory_mb']:.0f}"),
        Figure(
            "cpu_pct",
            cpu,
            "% of a core",
            "5 at 30 signals/s",
            f"at {rate:.0f} samples/s; the simulator took {sim_cpu:.1f}",
        ),
        Figure("cpu_pct_at_30", cpu / rate * 30, "% of a core", "5", "the same, scaled to 30 samples a second"),
        Figure("start_s", start_s, "s", "3", "from exec to the first answer on the control socket"),
    ]


def _answers(socket: Path) -> bool:
    try:
        ask(socket, "status")
    except MilepostError:
        return False
    return True


def _samples(directory: Path) -> int:
    return int(ask(directory / "agent.sock", "status")["sampling"]["received"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        figures = watch(Path(directory), options.seconds)
    report("agent", figures + import_memory())


if __name__ == "__main__":
    main()
