"""Rules of the house that a tool can hold."""

from pathlib import Path
import subprocess
import sys
import tomllib

ROOT = Path(__file__).parents[2]


def test_no_stage_imports_another() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_every_dependency_says_why() -> None:
    """A dependency that is named for the first time has its reason on the same line."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)
    named: set[str] = set()
    for group in [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]:
        for requirement in group:
            name = requirement.split("[")[0].split(">")[0].split("=")[0]
            line = next(line for line in text.splitlines() if f'"{requirement}"' in line)
            assert name in named or "#" in line, f"{requirement}: why?"
            named.add(name)


def test_nothing_of_this_machine_is_named() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = (str(ROOT.parent) + "/", str(Path.home()) + "/")
    for name in listed.splitlines():
        path = ROOT / name
        if path.suffix in {".lock", ".png", ".pmtiles", ".zdict", ".bin"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not any(len(word) > 3 and word in text for word in words), name
