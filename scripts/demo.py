"""Vehicles on a live map: the cloud, simulated vehicles, and one real agent in each. `just demo`.

    python scripts/demo.py [--vehicles 6] [--port 8321] [--dir build/demo] [--fresh]

Everything is the shipped program over the shipped protocols: the agents read an ELM327 on a pty and gpsd on TCP, keep
frames in SQLite, and publish them over NATS. Ctrl-C stops all of it; what was measured stays in the directory.
"""

import argparse
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

FAULT = "car-01:misfire@60"
READY_S = 60.0
STOP_S = 20.0


class Demo:
    """The processes of the demo, each with a log file in its directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, arguments: list[str], environment: dict[str, str]) -> None:
        """Start `python -m <arguments>` with its output in <name>.log."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("MILEPOST")}
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**clean, **environment},
                start_new_session=True,  # Ctrl-C reaches only this script, which stops them in order
            )

    def check(self) -> None:
        """End the demo with the log of a process that has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                tail = (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-2000:]
                raise SystemExit(f"{name} has ended with {process.returncode}:\n{tail}")

    def stop(self) -> None:
        """Stop agents, simulator, cloud, so that what was measured still arrives; leave nothing behind."""
        parts = list(self.processes)
        agents = [name for name in parts if name.startswith("agent")]
        for wave in (agents, *([name] for name in ("simulator", "cloud") if name in parts)):
            for name in wave:
                self.processes[name].send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_S
            for name in wave:
                try:
                    self.processes[name].wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    os.killpg(self.processes[name].pid, signal.SIGKILL)  # each has a session of its own


def wait_for(demo: Demo, what: str, ready: Path | str | urllib.request.Request) -> bytes:
    """The content of a file or of an answer, as soon as there is one; nothing for a socket."""
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        demo.check()
        try:
            if isinstance(ready, Path):
                return b"" if ready.is_socket() else ready.read_bytes()
            with urllib.request.urlopen(ready, timeout=2) as answer:
                content: bytes = answer.read()
                return content
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise SystemExit(f"{what} is not ready after {READY_S:.0f} s; logs are in {demo.directory}")


def start_agents(demo: Demo, vehicles: list[dict[str, str]], nats_url: str) -> None:
    """One agent in each simulated vehicle."""
    for vehicle in vehicles:
        home = demo.directory / "devices" / vehicle["name"]
        home.mkdir(parents=True, exist_ok=True)
        config = home / "device.toml"
        config.write_text(
            f'tenant = "demo"\ndevice = "{vehicle["name"]}"\nstate_dir = "{home.absolute()}"\n\n'
            f'{vehicle["device_toml"]}\n[uplink]\nurl = "{nats_url}"\n',
            encoding="utf-8",
        )
        demo.start(f"agent-{vehicle['name']}", ["edge.cli", "--config", str(config), "run"], {})


def name_vehicles(demo: Demo, url: str, vehicles: list[dict[str, str]]) -> None:
    """Give each vehicle its plate, make and model, once its device has registered."""
    by_device = {vehicle["name"]: vehicle for vehicle in vehicles}
    log_in = urllib.request.Request(f"{url}/api/v1/auth/demo", method="POST")
    token = json.loads(wait_for(demo, "the log-in", log_in))["access_token"]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    listed = urllib.request.Request(f"{url}/api/v1/vehicles?limit=500", headers=headers)
    deadline = time.monotonic() + READY_S
    while by_device and time.monotonic() < deadline:
        for item in json.loads(wait_for(demo, "the fleet", listed))["items"]:
            vehicle = by_device.pop(item["device_id"] or "", None)
            if vehicle is not None:
                facts = {key: vehicle[key] for key in ("plate", "make", "model", "year")}
                body = json.dumps(facts | {"name": vehicle["name"].replace("-", " ").title()}).encode()
                request = urllib.request.Request(f"{url}/api/v1/vehicles/{item['id']}", body, headers, method="PATCH")
                urllib.request.urlopen(request, timeout=5).close()
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vehicles", type=int, default=6)
    parser.add_argument("--port", type=int, default=8321, help="of the web app; 0: a free one")
    parser.add_argument("--dir", type=Path, default=Path("build/demo"))
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier demo measured")
    parser.add_argument("--seconds", type=float, default=None, help="stop by itself after so long")
    options = parser.parse_args()
    if options.fresh and options.dir.exists():
        shutil.rmtree(options.dir)
    simulator = options.dir / "vehicles"
    shutil.rmtree(simulator, ignore_errors=True)
    (options.dir / "cloud").mkdir(parents=True, exist_ok=True)
    demo = Demo(options.dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        run(demo, options, simulator)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
        print("stopping …", flush=True)
        demo.stop()


def run(demo: Demo, options: argparse.Namespace, simulator: Path) -> None:
    """Start everything, say where to look, and keep watch."""
    cloud = demo.directory / "cloud"
    (cloud / "nats" / "url").unlink(missing_ok=True)
    url = f"http://127.0.0.1:{options.port}"
    demo.start(
        "cloud", ["cloud.cli", "--data-dir", str(cloud), "serve", "--demo", "--port", str(options.port)],
        {"MILEPOST__NATS__PORT": "0"},
    )  # fmt: skip
    faults = ["--fault", FAULT] if options.vehicles > 1 else []
    demo.start(
        "simulator",
        ["edge.cli", "simulate", "-n", str(options.vehicles), "--dir", str(simulator), "--quiet", *faults],
        {},
    )
    wait_for(demo, "the cloud", f"{url}/ready")
    nats_url = wait_for(demo, "the broker", cloud / "nats" / "url").decode().strip()
    wait_for(demo, "the simulator", simulator / "control.sock")
    vehicles = [json.loads(file.read_bytes()) for file in sorted(simulator.glob("*/simulator.json"))]
    start_agents(demo, vehicles, nats_url)
    name_vehicles(demo, url, vehicles)
    print(f"\n  {len(vehicles)} vehicles on the map: {url}\n")
    print(f"  logs and data in {demo.directory}; try in another terminal:")
    print(f"    uv run --no-sync milepost --config {demo.directory}/devices/{vehicles[0]['name']}/device.toml live\n")
    print("  Ctrl-C stops everything.", flush=True)
    deadline = time.monotonic() + (options.seconds or float("inf"))
    while time.monotonic() < deadline:
        demo.check()
        time.sleep(0.5)


if __name__ == "__main__":
    main()
