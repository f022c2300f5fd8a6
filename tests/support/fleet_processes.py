"""Simulated vehicles with a real agent in each, as processes, for tests that follow a sample all the way."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import NamedTuple

from edge.outbox.opening import outbox_path
from tests.support.cloud_process import eventually


class Agent:
    """`milepost run` with a configuration in its own folder."""

    def __init__(self, home: Path, device: str, fragment: str, nats_url: str, *, frame_period_s: float = 2.0) -> None:
        self.device = device
        self.home = home
        self.config = home / "device.toml"
        home.mkdir(parents=True, exist_ok=True)
        fragment = fragment.replace("[obd]\n", "[obd]\ndtc_period_s = 5.0\n")
        self.config.write_text(
            f'tenant = "demo"\ndevice = "{device}"\nstate_dir = "{home}"\n{fragment}\n'
            f"[sampling]\nframe_period_s = {frame_period_s}\n[outbox]\nsize_mb = 2\nballast_kb = 64\n"
            f'[uplink]\nurl = "{nats_url}"\nack_timeout_s = 2.0\nretry_s = 0.2\nretry_max_s = 1.0\n'
            f"hello_wait_s = 1.0\nhello_after_s = 5.0\n",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def outbox(self) -> Path:
        """Its outbox file."""
        return outbox_path(self.home, "demo", self.device)

    @property
    def socket(self) -> Path:
        """Its control socket."""
        return self.home / "agent.sock"

    def start(self) -> None:
        """Start it and wait for its control socket."""
        with (self.home / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edge.cli", "--config", str(self.config), "run"],
                stdout=log, stderr=log, env=clean_environment(),
            )  # fmt: skip
        eventually(self.socket.exists, f"agent {self.device}", 30)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(20)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self.stop(signal.SIGKILL)


class SimulatedVehicle(NamedTuple):
    """What the simulator says of one vehicle."""

    name: str
    vin: str
    device_toml: str


def clean_environment() -> dict[str, str]:
    """The environment without anything that configures Milepost."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST")}


@contextmanager
def simulated(directory: Path, *options: str) -> Iterator[list[SimulatedVehicle]]:
    """`milepost simulate` with these options, while the block runs."""
    with (directory / "simulator.log").open("ab") as log, ExitStack() as stack:
        vehicles = directory / "vehicles"
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.cli", "simulate", "--dir", str(vehicles), "--quiet", "--instant", *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(),
        )  # fmt: skip
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        eventually((vehicles / "control.sock").exists, "the simulator", 30)
        facts = [json.loads(file.read_bytes()) for file in sorted(vehicles.glob("*/simulator.json"))]
        yield [SimulatedVehicle(f["name"], f["vin"], f["device_toml"]) for f in facts]
