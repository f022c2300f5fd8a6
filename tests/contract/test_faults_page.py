"""The page of faults promises nothing that no test shows."""

import ast
from pathlib import Path
import re

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ops" / "faults.md"


def test_every_test_named_there_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text(encoding="utf-8"))
    assert named
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in functions, f"{path}::{name}"


def test_every_row_names_a_test() -> None:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and not line.startswith("| fault |"):
            assert line.count(" | ") == 4, line
            assert re.search(r"`tests/[\w/]+\.py::\w+` \|$", line), line


def test_the_service_is_started_again_for_ever_but_not_on_a_wrong_configuration() -> None:
    lines = (ROOT / "hardware" / "pi" / "milepost.service").read_text(encoding="utf-8").splitlines()
    for setting in ("StartLimitIntervalSec=0", "Restart=always", "RestartPreventExitStatus=78", "WatchdogSec=30"):
        assert setting in lines
