"""Refuse files that grow too long: nobody holds more than 500 lines in the head. Data files do not count."""

from pathlib import Path
import subprocess
import sys

LIMIT_LINES = 500
ASK_LINES = 300
CODE = {".py", ".ts", ".tsx", ".css", ".mjs"}


def main() -> int:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True
    )
    sizes = {
        path: len(Path(path).read_text(encoding="utf-8").splitlines())
        for path in tracked.stdout.splitlines()
        if Path(path).suffix in CODE and Path(path).is_file()
    }
    for path, lines in sorted(sizes.items(), key=lambda item: -item[1]):
        if lines > ASK_LINES:
            print(f"{'too long' if lines > LIMIT_LINES else 'long'}: {path} has {lines} lines")
    ordered = sorted(sizes.values())
    print(f"{len(ordered)} files, median {ordered[len(ordered) // 2]}, p90 {ordered[len(ordered) * 9 // 10]} lines")
    return int(any(lines > LIMIT_LINES for lines in ordered))


if __name__ == "__main__":
    sys.exit(main())
