"""The cloud service as its own process: started on free ports, waited for, stopped."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

from click.testing import CliRunner, Result

from cloud.cli import main
from cloud.ops.control import ControlClient, Status
from sync_protocol.errors import Unavailable

START_S = 90.0
STOP_S = 30.0
PROMPT = {"MILEPOST__INGEST__COMMIT_WINDOW_S": "0.05", "MILEPOST__INGEST__ACK_DELAY_S": "0.0"}
"""Settings with which what a test sends is stored and acknowledged at once."""


class CloudProcess:
    """`milepost-cloud serve` over a data directory."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        quiet = {"MILEPOST__DEMO": "true", "MILEPOST__NATS__PORT": "0", "MILEPOST__NATS__DISK_RESERVE_BYTES": "0"}
        self._settings = quiet | settings
        self._process: subprocess.Popen[bytes] | None = None
        self.status: Status | None = None
        data_dir.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What the service and its command line are told."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MILEPOST")}
        return {**clean, **self._settings, "MILEPOST__DATA_DIR": str(self.data_dir)}

    @property
    def url(self) -> str:
        """Where the API answers."""
        assert self.status is not None
        return self.status.url

    @property
    def nats_url(self) -> str:
        """Where devices publish."""
        assert self.status is not None
        return self.status.nats_url

    def launch(self) -> None:
        """Start, and wait for nothing."""
        log = (self.data_dir / "service.log").open("ab")
        command = [sys.executable, "-m", "cloud.cli", "--log-level", "debug", "serve", "--port", "0"]
        self._process = subprocess.Popen(command, stderr=log, stdout=log, env=self.environment)
        log.close()

    def start(self) -> "CloudProcess":
        """Start and wait until it is ready."""
        self.launch()
        assert self._process is not None
        client = ControlClient(self.data_dir)
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            try:
                status = client.ask("GET", "/status", Status)
            except Unavailable:
                time.sleep(0.05)
                continue
            if status.readiness.is_ready:
                self.status = status
                return self
        self.kill()
        raise AssertionError(f"the service did not start: {self.log()[-3000:]}")

    def log(self) -> str:
        """Everything it has logged."""
        return (self.data_dir / "service.log").read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        finally:
            self.kill()

    def wait(self, patience_s: float) -> int:
        """Wait until it ends by itself; returns the exit code."""
        assert self._process is not None
        return self._process.wait(patience_s)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def command(self, *arguments: str, typed: str | None = None) -> Result:
        """Run `milepost-cloud` with these arguments against the same data directory, in this process."""
        inherited = {name: None for name in os.environ if name.startswith("MILEPOST")}
        return CliRunner().invoke(main, arguments, input=typed, env={**inherited, **self.environment})


def eventually(check: Any, what: str, patience_s: float = 30.0) -> Any:
    """Call `check` until what it returns is true; returns that."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {patience_s:g} s: {what}")
