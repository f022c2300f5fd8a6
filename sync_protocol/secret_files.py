"""Files that only their owner may read: keys, tokens, secrets."""

import os
from pathlib import Path


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only this user may read: whole and on the disk under its name, or not at all."""
    making = path.with_name(path.name + ".making")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    making.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
