"""Every command against an agent in this process that plays a recording and has no uplink."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
import json
from pathlib import Path
import tempfile
import threading

from click.testing import CliRunner, Result
import msgspec
import pytest
from rich.console import Console

from edge import cli
from edge.app import Agent
from edge.clock import SystemClock
from edge.commands.live import LiveView, sparkline
from edge.commands.loading import load
from edge.commands.output import duration, size
from edge.commands.status import _show
from edge.control import ask
from edge.notify import SystemdNotifier
from edge.outbox.streams import Totals
from edge.status import AgentStatus, LiveValue
from sync_protocol.errors import Conflict, Unavailable
from sync_protocol.signals import catalogue
from tests.support.agent_process import write_recording
from tests.support.waiting import wait_until


@contextmanager
def agent(folder: Path, extra: str = "") -> Iterator[Callable[..., Result]]:
    """A running agent; the callable runs one command line with its configuration."""
    recording = folder / "drive.jsonl"
    write_recording(recording, 60, rows_a_second=20)
    config_path = folder / "device.toml"
    config_path.write_text(
        f'tenant = "acme"\ndevice = "van-1"\nstate_dir = "{folder}/state"\n[replay]\npath = "{recording}"\n'
        f"[sampling]\nframe_period_s = 0.2\n[uplink]\nenabled = false\n[outbox]\nsize_mb = 1\nballast_kb = 0\n{extra}"
    )
    config = load(config_path)
    stop = asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(Agent(config, SystemClock(), SystemdNotifier({})).run(stop))
    )

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli.root, ["--config", str(config_path), *arguments])

    def has_values() -> bool:
        try:
            return len(ask(config.socket_path, "values")) > 5
        except Unavailable:
            return False

    thread.start()
    try:
        wait_until(has_values, 20, "values")
        yield run
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
    stopped = run("sync", "--json")
    assert json.loads(stopped.output)["is_agent_running"] is False
    assert isinstance(run("status").exception, Unavailable)


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mp") as name:
        yield Path(name)


def test_every_command_speaks_to_the_running_agent(folder: Path) -> None:
    with agent(folder) as run:
        assert "acme / van-1" in run("status").output
        status = json.loads(run("status", "--json").output)
        assert status["sensors"]["replay"]["link"] == "open"
        assert "engine_rpm" in run("live", "--once").output
        only = json.loads(run("live", "--once", "--json", "--signal", "lat_deg").output)
        assert [value["signal"] for value in only] == ["lat_deg"]
        assert "committed" in run("sync").output
        doctor = run("doctor")
        assert (doctor.exit_code, "sampling" in doctor.output) == (0, True)
        assert json.loads(run("doctor", "--json").output)[0]["link"] == "agent"
        assert isinstance(run("dtc").exception, Unavailable)
        target = folder / "copy.jsonl.gz"
        assert "recording to" in run("record", "start", str(target)).output
        assert isinstance(run("record", "start", str(target)).exception, Unavailable)
        assert "lines" in run("record", "stop").output
        assert run("record", "start").exit_code == 2
        assert "lines" in run("record", "for", str(folder / "other.jsonl"), "--seconds", "0.3").output
        assert "frames" in run("replay", str(folder / "other.jsonl")).output
        assert json.loads(run("replay", str(folder / "other.jsonl"), "--json").output.splitlines()[0])["seq"] == 1
        ask(folder / "state" / "agent.sock", "watch", lease_s=60)
        assert ask(folder / "state" / "agent.sock", "status")["is_watched"]
        with pytest.raises(Conflict):
            asyncio.run(Agent(load(folder / "device.toml"), SystemClock(), SystemdNotifier({})).run(asyncio.Event()))


def test_doctor_without_an_agent_and_config_check(folder: Path) -> None:
    path = folder / "device.toml"
    path.write_text(f'tenant = "acme"\ndevice = "van-1"\nstate_dir = "{folder}"\n[obd]\nport = "/dev/none"\n')
    doctor = CliRunner().invoke(cli.root, ["--config", str(path), "doctor"])
    assert (doctor.exit_code, "not running" in doctor.output, "Plug the adapter in" in doctor.output) == (1, True, True)
    check = CliRunner().invoke(cli.root, ["--config", str(path), "config", "check"])
    assert "configuration is good" in check.output
    shown = CliRunner().invoke(cli.root, ["--config", str(path), "config", "check", "--json"])
    assert json.loads(shown.output)["obd"]["port"] == "/dev/none"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["config", "check"], 78, "tenant"),
        (["fly"], 2, "No such command"),
        (["--help"], 0, "Exit codes"),
        (["--version"], 0, "milepost"),
    ],
)
def test_exit_codes(
    arguments: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["milepost", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    captured = capsys.readouterr()
    assert (end.value.code or 0) == code
    assert said in captured.out + captured.err


def test_small_words() -> None:
    assert [duration(s) for s in (0.44, 30, 65, 7_300, 200_000)] == [
        "0.4 s",
        "30 s",
        "1 min 5 s",
        "2 h 1 min",
        "2 d 7 h",
    ]
    assert [size(n) for n in (5, 2_500, 3e6, 4e12)] == ["5 B", "2.5 kB", "3.0 MB", "4000.0 GB"]
    assert sparkline([]) == ""
    assert sparkline([3, 3]) == "▁▁"
    assert sparkline([0, 5, 10]) == "▁▅█"


def test_the_live_view_draws_stale_and_old_values() -> None:
    view = LiveView()
    console = Console(width=120, record=True, file=StringIO())
    console.print(view.render())
    view.take(
        msgspec.to_builtins(
            [
                LiveValue("engine_rpm", 800.0, "rpm", 0.2, False),
                LiveValue("coolant_c", 90.0, "celsius", 40.0, True),
                LiveValue("cluster_odometer_km", 1_234_567.0, "km", 5.0, False),
            ]
        )
    )
    console.print(view.render())
    text = console.export_text()
    assert "No values yet" in text
    assert "stale" in text
    assert "1,234,567.0" in text
    assert "°C" in text


@pytest.mark.parametrize(("height_lines", "lines"), [(45, 45), (44, 21), (24, 21), (12, 12)])
def test_the_live_view_fits_the_screen(height_lines: int, lines: int) -> None:
    view = LiveView()
    names = [signal.name for signal in catalogue().signals][:40]
    view.take([msgspec.to_builtins(LiveValue(name, 1.0, "celsius", 0.2, False)) for name in names])
    console = Console(width=80, record=True, file=StringIO())
    console.print(view.render(height_lines))
    shown = console.export_text().rstrip().splitlines()
    assert len(shown) == lines
    assert "40 signals" in shown[-1]
    assert (names[-1] in "".join(shown)) == (height_lines > 20)


def test_lost_frames_and_a_missing_clock_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.unit.edge.app.test_diagnosis import STATUS

    status: AgentStatus = msgspec.structs.replace(
        STATUS, frames=Totals(10, 0, 5, 0, 5), utc_ms=None, is_watched=True, recording="/tmp/x"
    )
    _show(status)
    shown = capsys.readouterr().out
    assert "5 lost" in shown
    assert "UTC not known yet" in shown
    assert "recording to" in shown
