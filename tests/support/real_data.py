"""Where the real recordings lie: MILEPOST_DATA, or ../shared/data beside the checkout. `real_data` marks the tests."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).parents[3] / "shared" / "data"


def data_dir() -> Path | None:
    """The folder of recordings, or None on a machine that has none."""
    path = Path(os.environ.get("MILEPOST_DATA", _DEFAULT))
    return path if path.is_dir() else None


def require_data(*parts: str) -> Path:
    """A path below the recordings; skips the test where they are absent."""
    root = data_dir()
    if root is None:
        pytest.skip("no real recordings: set MILEPOST_DATA")
    return root.joinpath(*parts)
