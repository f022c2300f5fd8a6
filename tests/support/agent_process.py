"""The agent as a process, `python -m edge.cli run`, fed by a recording, and the commands that speak to it."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any

import msgspec

from edge.config import DeviceConfig
from edge.sensors.recorder import Recorder, RecordingSink
from sync_protocol.config import load_config
from sync_protocol.messages import TimeAnchor
from sync_protocol.signals import catalogue
from tests.support.waiting import wait_until

_REPOSITORY = Path(__file__).parents[2]
_START_MS = 5_000_000
_UTC_MS = 1_790_000_000_000


class _Nowhere:
    """A sink that keeps nothing."""

    def row(self, *_: object) -> None: ...
    def mark(self, *_: object) -> None: ...
    def event(self, *_: object) -> None: ...
    def anchor(self, *_: object) -> None: ...


def write_recording(
    path: Path, seconds: float, *, rows_a_second: int = 1, events_every_s: float = 0, utc_ms: int = _UTC_MS
) -> int:
    """A drive of so many seconds with six signals. Returns its number of samples."""
    ids = [catalogue().by_name[name].id for name in ("engine_rpm", "coolant_c", "throttle_pct", "manifold_kpa")]
    lat, lon = catalogue().by_name["lat_deg"].id, catalogue().by_name["lon_deg"].id
    count = 0
    with Recorder(path, _START_MS) as file:
        recorder = RecordingSink(file, _Nowhere())
        recorder.anchor(TimeAnchor(_START_MS, utc_ms, "gps", 50))
        for i in range(round(seconds * rows_a_second)):
            at_ms = _START_MS + i * 1000 // rows_a_second
            recorder.row("obd_1s", at_ms, {signal_id: (i * 7 + signal_id) % 100 for signal_id in ids})
            recorder.row("gps", at_ms, {lat: 470_000_000 + i * 100, lon: 95_000_000 + i * 90})
            count += len(ids) + 2
            if events_every_s and i and i % round(events_every_s * rows_a_second) == 0:
                recorder.event("test_event", at_ms, {"number": i})
    return count


class AgentProcess:
    """One device; without `url` one that is nobody yet. Its folder is short, since the path of a Unix socket is."""

    def __init__(self, url: str | None, recording: Path, *, frame_period_s: float = 0.2, extra: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mp")
        self.folder = Path(self._folder.name)
        self.config = self.folder / "device.toml"
        who, where = ('tenant = "acme"\ndevice = "van-1"\n', f'url = "{url}"\n') if url else ("", "")
        self.config.write_text(
            f'{who}state_dir = "{self.folder}/state"\nmemory_dir = "{self.folder}/memory"\n'
            f'[replay]\npath = "{recording}"\n[sampling]\nframe_period_s = {frame_period_s}\n'
            f"[uplink]\n{where}retry_s = 0.05\nretry_max_s = 0.2\nack_timeout_s = 2\nhello_after_s = 3\n"
            f"hello_wait_s = 1\n[outbox]\nsize_mb = 1\nballast_kb = 16\n{extra}"
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it is spoken to now."""
        return load_config(DeviceConfig, self.config, {}).socket_path

    def __enter__(self) -> "AgentProcess":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it and wait until it answers on its socket."""
        with (self.folder / "agent.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "edge.cli", "--config", self.config, "run"],
                cwd=_REPOSITORY, stdout=log, stderr=log, env=_environment(),
            )  # fmt: skip
        wait_until(self.is_ready, 30, "agent")

    def is_ready(self) -> bool:
        """Whether it answers; AssertionError with its log when it has ended."""
        from edge.control import ask
        from sync_protocol.errors import Unavailable

        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return bool(ask(self.socket, "status"))
        except Unavailable:
            return False

    def ask(self, op: str, **args: Any) -> Any:
        """One question on its socket."""
        from edge.control import ask

        return ask(self.socket, op, **args)

    def kill(self) -> None:
        """kill -9, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def stop(self) -> int:
        """SIGTERM. Returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.process = None
        return code

    def log(self) -> str:
        """What it has written."""
        return (self.folder / "agent.log").read_text()

    def command(self, *arguments: str) -> "Result":
        """Run `milepost` with this device's configuration."""
        done = subprocess.run(
            [sys.executable, "-m", "edge.cli", "--config", self.config, *arguments],
            cwd=_REPOSITORY, capture_output=True, timeout=60, check=False, env=_environment(),
        )  # fmt: skip
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


class Result(msgspec.Struct, frozen=True):
    """What a command did."""

    code: int
    out: str
    err: str


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MILEPOST")}
    return kept | {"COLUMNS": "200", "TERM": "dumb"}
