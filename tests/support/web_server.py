"""The web app's fixture server as a process of its own."""

from pathlib import Path
import signal
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Any
import urllib.error
import urllib.request

import msgspec

ROOT = Path(__file__).parents[2]
START_S = 30.0


class WebServer:
    """`url` stays the same over `stop` and `start`, so that a browser finds it again."""

    def __init__(self, *arguments: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "WebServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Run it and wait until it answers."""
        command = [sys.executable, "-m", "tests.support.web_fixture", "--port", str(self._port), *self._arguments]
        self._process = subprocess.Popen(command, cwd=ROOT)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                self.get("/api/v1/summary")
            except (urllib.error.URLError, ConnectionError):
                assert self._process.poll() is None, "the fixture server ended"
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"the fixture server did not answer within {START_S} s")

    def stop(self) -> None:
        """End it and wait until it is gone; does nothing when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def get(self, path: str) -> Any:
        """The JSON behind a path."""
        with urllib.request.urlopen(self.url + path, timeout=5) as response:
            return msgspec.json.decode(response.read())
