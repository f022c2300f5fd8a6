"""Files that only their owner may read: keys, tokens, secrets.

What root writes belongs to whom the folder belongs to: a service that runs as somebody else must be able to read it.
"""

import os
from pathlib import Path


def make_private_folder(path: Path) -> None:
    """A folder for this user only, if it is not there yet."""
    if not path.exists():
        path.mkdir(parents=True, mode=0o700)
        _hand_over(path, path.parent)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only this user may read: whole and on the disk under its name, or not at all."""
    making = path.with_name(path.name + ".making")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _hand_over(making, path.parent)
    making.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _hand_over(path: Path, folder: Path) -> None:
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.chown(path, owner.st_uid, owner.st_gid)
