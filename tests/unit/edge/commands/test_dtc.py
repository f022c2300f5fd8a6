"""What a technician sees of the vehicle's diagnosis, and the exit code a script gets."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
import msgspec
import pytest

from edge import cli
from edge.sensors.obd.report import (
    ClearReport,
    Code,
    CodesReport,
    Computer,
    ComputerReadiness,
    Counter,
    FreezeFrame,
    IdentityReport,
    InUse,
    MonitorState,
    ReadinessReport,
)
from edge.vehicle_answers import Unreached

CODE = Code("P0301", "stored", "7E8", "Misfires in cylinder 1")
GOOD = CodesReport(
    vin=None, codes=[], unread={}, is_mil_on=False, since={"clear_distance_km": 812.0}, freeze_frames=[],
    freeze_unread=None,
)  # fmt: skip
BAD = msgspec.structs.replace(
    GOOD,
    codes=[CODE, Code("P0301", "permanent", "7E8", "Misfires in cylinder 1")],
    is_mil_on=True,
    since={"mil_distance_km": 37.0, "mil_time_min": 55.0},
    freeze_frames=[FreezeFrame("7E8", "P0301", {"engine_rpm": 1726.0, "speed_kmh": 50.0, "engine_load_pct": 50.2})],
)


class Answers:
    """What the agent says, by request, and what it was asked."""

    def __init__(self) -> None:
        self.by_op: dict[str, object] = {}
        self.asked: list[str] = []

    def ask(self, _: Path, op: str, **args: Any) -> Any:
        self.asked.append(" ".join([op, *args.values()]))
        return msgspec.to_builtins(self.by_op[op])


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    made = Answers()
    monkeypatch.setattr("edge.commands.dtc.ask", made.ask)
    monkeypatch.setenv("COLUMNS", "80")
    return made


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "device.toml"
    path.write_text('tenant = "acme"\ndevice = "van-1"\n')
    return path


def dtc(config_path: Path, *options: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(cli.root, ["--config", str(config_path), "dtc", *options], input=typed)


def test_codes_with_meaning_lamp_and_freeze_frame(answers: Answers, config_path: Path) -> None:
    answers.by_op["dtc"] = GOOD
    shown = dtc(config_path)
    assert (shown.exit_code, "No trouble codes." in shown.output, "lamp off" in shown.output) == (0, True, True)
    answers.by_op["dtc"] = BAD
    shown = dtc(config_path)
    for words in ("Misfires in cylinder 1", "permanent", "lamp on for 37 km, 55 min", "engine_rpm", "1,726.0", "50.2"):
        assert words in shown.output
    assert (shown.exit_code, max(map(len, shown.output.splitlines())) <= 80) == (0, True)
    assert json.loads(dtc(config_path, "--json").output)["codes"][0]["text"] == "Misfires in cylinder 1"


def test_a_list_that_could_not_be_read_is_not_a_good_one(answers: Answers, config_path: Path) -> None:
    answers.by_op["dtc"] = msgspec.structs.replace(GOOD, unread={"pending": "NO DATA"})
    shown = dtc(config_path)
    assert (shown.exit_code, "pending codes could not be read" in shown.output) == (1, True)
    assert "No trouble codes" not in shown.output
    assert dtc(config_path, "--json").exit_code == 1


@pytest.mark.parametrize("subcommand", [(), ("readiness",), ("vehicle",), ("clear", "--yes")])
def test_a_vehicle_that_sleeps_is_said_to(answers: Answers, config_path: Path, subcommand: tuple[str, ...]) -> None:
    asleep = Unreached("no vehicle answers: vehicle rests: engine off", is_asleep=True)
    answers.by_op = dict.fromkeys(("dtc", "dtc_readiness", "dtc_vehicle", "dtc_clear"), asleep)
    shown = dtc(config_path, *subcommand)
    assert (shown.exit_code, "left to sleep" in shown.output) == (1, True)
    assert dtc(config_path, *subcommand, "--json").exit_code == 1
    answers.by_op = dict.fromkeys(answers.by_op, Unreached("no adapter", is_asleep=False))
    assert "milepost doctor" in dtc(config_path, *subcommand).output


def test_readiness(answers: Answers, config_path: Path) -> None:
    monitors = [MonitorState("catalyst", False, "incomplete"), MonitorState("misfire", True, None)]
    answers.by_op["dtc_readiness"] = ReadinessReport([ComputerReadiness("7E8", False, 0, "spark", monitors)])
    shown = dtc(config_path, "readiness")
    for words in ("7E8", "1 of 2 incomplete", "lamp off", "catalyst", "not told"):
        assert words in shown.output


def test_identity(answers: Answers, config_path: Path) -> None:
    in_use = InUse("spark", 24, 154, [Counter("catalyst bank 1", 17, 24), Counter("catalyst bank 2", 0, 0)])
    computer = Computer(
        ecu="7E8", name="ECM-EngineControl", calibrations=["A1", "A2"], cvns=["6953CD4B"], in_use=in_use
    )
    report = IdentityReport(
        vin="1M8GDM9AXKP042788", protocol="ISO 15765-4 CAN 11/500", computers=[computer, Computer(ecu="7E9")], unread={}
    )
    answers.by_op["dtc_vehicle"] = report
    shown = dtc(config_path, "vehicle")
    for words in ("1M8GDM9AXKP042788", "ECM-EngineControl", "A2  CVN not told", "154 starts", "17", "name not told"):
        assert words in shown.output
    assert "catalyst bank 2" not in shown.output
    answers.by_op["dtc_vehicle"] = msgspec.structs.replace(report, unread={"CVN": "NO DATA"})
    assert dtc(config_path, "vehicle").exit_code == 1


def test_clearing_asks_first_and_names_what_is_lost(answers: Answers, config_path: Path) -> None:
    answers.by_op = {
        "dtc": BAD,
        "dtc_clear": ClearReport(result="cleared", reason="", before=[CODE], after=BAD.codes[1:]),
    }
    shown = dtc(config_path, "clear", typed="n\n")
    assert (answers.asked, shown.exit_code) == (["dtc"], 1)
    for words in ("freeze frame", "readiness", "Permanent codes stay"):
        assert words in shown.output
    shown = dtc(config_path, "clear", typed="y\n")
    assert (answers.asked[1:], shown.exit_code) == (["dtc", "dtc_clear cli"], 0)
    assert "Codes cleared" in shown.output
    assert dtc(config_path, "clear", "--json").exit_code == 2
    assert dtc(config_path, "--json", "clear", "--yes").exit_code == 2


def test_what_was_not_cleared_is_said_with_its_reason(answers: Answers, config_path: Path) -> None:
    answers.by_op["dtc_clear"] = ClearReport(result="refused", reason="the engine runs", before=[CODE])
    shown = dtc(config_path, "clear", "--yes")
    assert (shown.exit_code, "Not cleared. The engine runs." in shown.output) == (1, True)
    answers.by_op["dtc_clear"] = ClearReport(
        result="still_set",
        reason="still there or there again: P0301",
        before=[CODE],
        after=[CODE],
        refused={"7E9": "busy"},
    )
    shown = dtc(config_path, "clear", "--yes")
    assert (shown.exit_code, "7E9 refused: busy" in shown.output, "P0301" in shown.output) == (1, True, True)
