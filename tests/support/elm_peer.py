"""ELM327-emulator (a test dependency, never shipped) in a process of its own, with a drive of ours behind it.

Run as a program it prints the name of its pty, then executes each line of standard input as a statement on `car`:
`car.dtcs = ["P0143"]`, `car.fault = "NO DATA"`, `car.is_running = False`.
"""

from collections.abc import Iterator
import contextlib
from contextlib import contextmanager
import importlib.util
import os
from pathlib import Path
import subprocess
import sys
import time
from typing import Any

import pytest

VIN = "1HGBH41JXMN109186"

# Without a logging configuration of its own the emulator logs everything into elm.log in its working directory.
_QUIET = """version: 1
disable_existing_loggers: False
handlers:
  none:
    class: logging.NullHandler
root:
  handlers: [none]
"""


class ElmPeer:
    """A running emulator. `link` is a name for its port that stays the same over restarts."""

    def __init__(self, folder: Path, scenario: str = "drive") -> None:
        self.link = folder / "obd"
        self._scenario = scenario
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Run it until it has said where its port is."""
        config = self._folder / "elm_quiet.yaml"
        config.write_text(_QUIET)
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._scenario],
            cwd=self._folder,
            env=os.environ | {"ELM_LOG_CFG": str(config)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        assert port.startswith("/dev/"), port
        fresh = self.link.with_name("obd.new")
        fresh.symlink_to(port)
        fresh.replace(self.link)

    def tell(self, statement: str) -> None:
        """Execute a statement on `car`."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(statement + "\n")
        self._process.stdin.flush()

    def unplug(self) -> None:
        """End it at once: its port vanishes."""
        if self._process is None:
            return
        self.link.unlink(missing_ok=True)
        self._process.kill()
        self._process.wait(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process = None


@contextmanager
def elm_peer(folder: Path, scenario: str = "drive") -> Iterator[ElmPeer]:
    """An emulator in `folder` with our drive or a `scenario` of its own; skips the test where it is not installed."""
    if importlib.util.find_spec("elm") is None:
        pytest.skip("elm327-emulator is not installed (dependency group emulator)")
    peer = ElmPeer(folder, scenario)
    try:
        peer.start()
        yield peer
    finally:
        peer.unplug()


class _Car:
    def __init__(self) -> None:
        self.dtcs: list[str] = []
        self.pending: list[str] = []
        self.fault: str | None = None
        self.is_running = True

    def pids(self) -> dict[int, bytes]:
        rpm, speed = (2_000, 50) if self.is_running else (0, 0)
        return {
            0x01: bytes([0x80 * bool(self.dtcs) | len(self.dtcs), 0x07, 0xE5, 0x00]),
            0x04: b"\x60",
            0x05: b"\x82",
            0x0C: (rpm * 4).to_bytes(2, "big"),
            0x0D: bytes([speed]),
            0x0F: b"\x41",
            0x11: b"\x30",
            0x2F: b"\x80",
            0x42: b"\x37\x14",
        }


def _serve() -> None:
    from elm import Elm
    from elm.obd_message import ST, ObdMessage, iso_tp_frames

    car = _Car()

    def entry(request: str, answer: Any) -> dict[str, Any]:
        def footer(self: Any, command: str, pid: str, uc: str) -> str:
            data = answer()
            if car.fault or data is None:
                return str(ST(car.fault or "NO DATA"))
            return str(iso_tp_frames([f"{byte:02X}" for byte in data]))

        return {"Request": request, "Descr": request, "Header": "7E0", "Priority": 1, "ResponseFooter": footer}

    def bitmap(base: int) -> bytes:
        has = [*car.pids(), 0x20, 0x40]
        return sum(1 << (32 - (pid - base)) for pid in set(has) if base < pid <= base + 0x20).to_bytes(4, "big")

    def codes(service: int, found: list[str]) -> bytes:
        pairs = [("PCBU".index(c[0]) << 14 | int(c[1]) << 12 | int(c[2:], 16)).to_bytes(2, "big") for c in found]
        return bytes([service + 0x40, len(found)]) + b"".join(pairs)

    scenario = {
        f"PID_{pid:02X}": entry(f"^01{pid:02X}[0-9A-F]?$", lambda pid=pid: bytes([0x41, pid]) + car.pids()[pid])
        for pid in car.pids()
    }
    for base in (0x00, 0x20, 0x40):
        scenario[f"PIDS_{base:02X}"] = entry(
            f"^01{base:02X}[0-9A-F]?$", lambda base=base: bytes([0x41, base]) + bitmap(base)
        )
    scenario["STORED"] = entry("^03$", lambda: codes(0x03, car.dtcs))
    scenario["PENDING"] = entry("^07$", lambda: codes(0x07, car.pending))
    scenario["VIN"] = entry("^0902$", lambda: b"\x49\x02\x01" + VIN.encode())
    scenario["VOLTAGE"] = {
        "Request": "^ATRV$",
        "Descr": "voltage",
        "Priority": 1,
        "ResponseFooter": lambda *_: ST("14.1V" if car.is_running else "12.3V"),
    }
    ObdMessage["drive"] = scenario
    if sys.argv[1] == "drive":
        # The emulator merges its default vehicle into every scenario: only ours shall answer.
        ObdMessage["default"].clear()
    with Elm(batch_mode=True) as emulator:
        emulator.set_sorted_obd_msg(sys.argv[1])
        while emulator.threadState != emulator.THREAD.ACTIVE:
            time.sleep(0.02)
        print(emulator.get_pty(), flush=True)
        for line in sys.stdin:
            exec(line, {"car": car})


if __name__ == "__main__":
    _serve()
