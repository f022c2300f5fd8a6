"""Errors of ours end a command with one line and an exit code; anything else is a bug and keeps its trace."""

from collections.abc import Callable
from pathlib import Path

import click
from click.testing import CliRunner, Result
import pytest

from cloud.cli import Group, main
from sync_protocol.errors import ConfigError, Invalid, MilepostError, NotFound, Rejected, Unavailable


def run(work: Callable[[], None]) -> Result:
    group = Group("milepost-cloud")
    group.add_command(click.command("work")(work))
    return CliRunner().invoke(group, ["work"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("$.listen.port: expected int"), 78),
        (Rejected("line 3"), 65),
        (Invalid("--name"), 65),
        (Unavailable("broker away"), 69),
        (NotFound("no such thing"), 69),
    ],
)
def test_our_errors(error: MilepostError, code: int) -> None:
    def alone() -> None:
        raise error

    def of_a_stage() -> None:
        raise ExceptionGroup("stages", [ExceptionGroup("ingest", [error])])

    for work in (alone, of_a_stage):
        result = run(work)
        assert result.exit_code == code
        assert result.stderr == f"milepost-cloud: {error}\n"


def test_a_bug_keeps_its_trace() -> None:
    def bug() -> None:
        raise ExceptionGroup("stages", [Unavailable("away"), KeyError("bug")])

    assert isinstance(run(bug).exception, ExceptionGroup)


def test_configuration_comes_from_file_environment_and_options(tmp_path: Path) -> None:
    file = tmp_path / "milepost-cloud.toml"
    file.write_text("data_dir = 'from-file'\n[nats]\nport = 1\n", encoding="utf-8")
    environment = {"MILEPOST__NATS__PORT": "2", "MILEPOST_CLOUD_CONFIG": str(file)}
    shown = CliRunner().invoke(main, ["--data-dir", "from-option", "config", "check"], env=environment)
    assert shown.exit_code == 0
    assert '"data_dir": "from-option"' in shown.stdout
    assert '"port": 2' in shown.stdout


@pytest.mark.parametrize(
    "arguments", [["serve", "--port", "70000"], ["import"], ["quarantine", "replay", "x"], ["nothing"]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2
