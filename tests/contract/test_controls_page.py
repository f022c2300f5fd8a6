"""The map of controls claims nothing that no test shows."""

import ast
from pathlib import Path
import re

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "controls.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows() -> list[list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert len(cells) > 20
    return cells[1:]


def test_every_row_is_whole_and_names_tests_that_exist() -> None:
    for row in rows():
        assert len(row) == 5, row
        assert re.fullmatch(r"(CC|A|C|PI|P)\d+\.\d+(, (CC|A|C|PI|P)\d+\.\d+)*", row[1]), row
        assert re.fullmatch(r"A\.[5-8]\.\d+(, A\.[5-8]\.\d+)*", row[2]), row
        named = TEST.findall(row[4])
        assert ", ".join(f"`{path}::{name}`" for path, name in named) == row[4], row
        for path, name in named:
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
            assert name in functions, f"{path}::{name}"


def test_what_is_not_there_is_said() -> None:
    assert "\n## Not there yet\n" in PAGE.read_text(encoding="utf-8")
