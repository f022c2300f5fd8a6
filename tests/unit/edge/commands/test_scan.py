"""What a technician sees of a scan through the agent, where the profile goes, and what is never overwritten."""

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
import msgspec
import pytest

from edge import cli
from edge.sensors.obd.profile import load_profiles
from edge.sensors.obd.scan_report import ComputerFinding, PidFinding, ScanProgress, ScanReport
from edge.vehicle_answers import Unreached
from sync_protocol.errors import Unavailable

REPORT = ScanReport(
    wmi="WF0", make="Ford", model_years=(2018,), fuel_type=4, engine_rpm=800.0, protocol="6",
    protocol_name="ISO 15765-4 CAN 11/500", adapter="ELM327 v1.5 [clone]", battery_v=14.1,
    computers=[ComputerFinding("7E8", ["0C", "0D", "1C", "FE"])],
    pids=[
        PidFinding(pid="0C", ecu="7E8", state="answered", answer_ms=35, slowest_ms=80, values={"engine_rpm": 800.0}),
        PidFinding(pid="0D", ecu="7E8", state="answered", answer_ms=35, lost_count=2, values={"speed_kmh": 0.0}),
        PidFinding(pid="14", ecu="7E8", state="answered", answer_ms=35, values={"o2_b1s1_v": 1.275},
                   doubtful=("o2_b1s1_v",)),
        PidFinding(pid="1C", ecu="7E8", state="unanswered", lost_count=3, reason="no_data (NO DATA)"),
        PidFinding(pid="5C", ecu="7E8", state="unannounced", answer_ms=40, values={"oil_c": 90.0}),
    ],
    has_multi_pid=True, has_frame_count=True, batches_count=1, batches_failed=0, is_padded=True,
    answer_timeout_ms=None, adaptive_timing=None, pids_per_request=6, values_per_s=3.0, base=None, skip=(),
    periods_s={}, load=0.1, fits=True,
)  # fmt: skip


class Agent:
    """What the running agent says; with nothing to say none runs."""

    items: tuple[object, ...] = (ScanProgress("announced PIDs", 0, 4), ScanProgress("announced PIDs", 1, 4), REPORT)
    is_running = True

    def ask(self, _: Path, op: str) -> Any:
        if not self.is_running:
            raise Unavailable("no agent answers")
        return {}

    def ask_stream(self, _: Path, op: str) -> Iterator[Any]:
        assert op == "scan"
        yield from (msgspec.to_builtins(item) for item in self.items)


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Agent:
    made = Agent()
    monkeypatch.setattr("edge.commands.scan.ask", made.ask)
    monkeypatch.setattr("edge.commands.scan.ask_stream", made.ask_stream)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return made


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "device.toml"
    path.write_text(f'tenant = "acme"\ndevice = "van-1"\n[obd]\nprofile_dir = "{tmp_path}/profiles"\n')
    return path


def scan(config_path: Path, *options: str) -> Result:
    return CliRunner().invoke(cli.root, ["--config", str(config_path), "scan", *options])


def test_tables_and_a_profile_where_the_agent_looks_for_it(agent: Agent, config_path: Path) -> None:
    shown = scan(config_path)
    assert shown.exit_code == 0, shown.output
    for words in ("Ford diesel", "VIN begins WF0", "[clone]", "35 ms -2", "1.275 V ?", "none", "ask?", "oil_c 90 °C"):
        assert words in shown.output
    for words in ("never answered", "Not announced but answered", "busy 10% of the time", "systemctl restart milepost"):
        assert words in shown.output
    assert "profile_dir" not in shown.output  # it is configured
    profile = load_profiles(str(config_path.parent / "profiles"))["ford_wf0_diesel"]
    assert (profile.match.wmis, profile.pids_to_skip) == (("WF0",), ("1C",))
    refused = scan(config_path)
    assert (refused.exit_code, "--force" in refused.output) == (1, True)
    assert scan(config_path, "--force").exit_code == 0


def test_every_line_fits_80_columns(agent: Agent, config_path: Path) -> None:
    shown = scan(config_path, "-o", "x.toml")
    assert max(len(line) for line in shown.output.splitlines() if str(config_path.parent) not in line) <= 80
    assert f'profile_dir = "{Path.cwd()}"' in shown.output


def test_a_file_that_is_there_is_refused_before_the_vehicle_is_asked(agent: Agent, config_path: Path) -> None:
    Path("x.toml").write_text("mine")
    agent.items = ()
    shown = scan(config_path, "-o", "x.toml")
    assert (shown.exit_code, "is there already" in shown.output) == (1, True)
    assert Path("x.toml").read_text() == "mine"


def test_json_has_the_report_and_the_place_of_the_profile(agent: Agent, config_path: Path) -> None:
    found = json.loads(scan(config_path, "-o", "x.toml", "--json").stdout)
    assert (found["wmi"], found["profile"], Path("x.toml").exists()) == ("WF0", "x.toml", True)


@pytest.mark.parametrize(("is_asleep", "advice"), [(True, "Switch the ignition on"), (False, "adapter plugged in")])
def test_why_there_is_no_report(agent: Agent, config_path: Path, is_asleep: bool, advice: str) -> None:
    agent.items = (ScanProgress("announced PIDs", 0, 4), Unreached("no vehicle answers", is_asleep))
    shown = scan(config_path, "-o", "x.toml")
    assert (shown.exit_code, advice in shown.output, Path("x.toml").exists()) == (1, True, False)
    assert json.loads(scan(config_path, "--json").stdout)["is_asleep"] is is_asleep


def test_without_an_agent_the_port_is_opened(agent: Agent, config_path: Path) -> None:
    agent.is_running = False
    shown = scan(config_path, "--port", "/dev/none-such")
    assert (shown.exit_code, "/dev/none-such" in shown.output) == (1, True)


def test_what_a_slow_bus_and_a_vehicle_without_a_vin_need_is_said(agent: Agent, config_path: Path) -> None:
    slow = msgspec.structs.replace(
        REPORT, wmi=None, make=None, fits=False, load=1.4, pids_per_request=1, engine_rpm=0.0
    )
    agent.items = (slow,)
    shown = scan(config_path, "-o", "x.toml")
    for words in ("Make not known", "VIN not told", "the rest takes turns", "The engine is off", 'profile = "x"'):
        assert words in shown.output
