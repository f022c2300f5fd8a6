"""`milepost simulate` as a process: starts, says what there is, obeys control lines, ends on a signal."""

from collections.abc import Iterator
import json
from pathlib import Path
import signal
import socket
import subprocess
import sys
import time

import pytest

RUN = [sys.executable, "-c", "from edge.commands.simulate import command; command()"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*RUN, "--vehicles", "2", "--routes", "fast,valley", "--dir", str(tmp_path), "--fault", "misfire"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def control_lines(path: Path, lines: str) -> str:
    deadline_s = time.monotonic() + 20
    while not path.is_socket():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(lines.encode())
        client.shutdown(socket.SHUT_WR)
        return "".join(iter(lambda: client.recv(4096).decode(), ""))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_runs_until_told_to_stop(running: subprocess.Popen[str], tmp_path: Path, number: signal.Signals) -> None:
    said = control_lines(tmp_path / "control.sock", "van-01 fault dtc=P0420\nvan-01 dance\n")
    assert "faults dtc=P0420,misfire" in said
    assert "error: 'dance': expected" in said
    facts = json.loads((tmp_path / "car-01" / "simulator.json").read_text("utf-8"))
    with socket.create_connection((facts["gpsd_host"], facts["gpsd_port"])) as client:
        assert b'"class":"VERSION"' in client.recv(200)
    assert running.stdin is not None
    running.stdin.write("car-01 state\n")
    running.stdin.flush()
    assert running.stderr is not None
    assert running.stderr.readline().startswith("car-01 ")
    running.send_signal(number)
    table, rest = running.communicate(timeout=10)
    assert running.returncode == 0
    assert rest == ""
    assert facts["vin"] in table
    assert "misfire" in table
    assert not list(tmp_path.glob("*/obd"))
    assert not (tmp_path / "control.sock").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--fault", "flat"], "expected one of misfire"),
        (["--fault", "bus-01:misfire"], "expected one of van-01"),
        (["--kinds", "bus"], "expected one of van, car"),
        (["--routes", "moon"], "expected one of east"),
        (["--speed-factor", "0"], "speed factor > 0"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: list[str], expected: str) -> None:
    result = subprocess.run([*RUN, "--dir", str(tmp_path), *options], capture_output=True, text=True, timeout=30)
    assert result.returncode == 2
    assert expected in " ".join(result.stderr.split())
