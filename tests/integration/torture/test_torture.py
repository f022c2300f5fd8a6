"""A short storm with every test run; `just torture` is the long one."""

import asyncio
from pathlib import Path

import pytest

from tests.torture.__main__ import is_kept, torture

KILLS = 12


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_promise_is_kept_under_fire(tmp_path: Path) -> None:
    storm, verdict, wrong = asyncio.run(torture(tmp_path, KILLS, devices=2, seed=20261124))
    assert wrong == []
    assert storm.kills.total() == KILLS
    assert is_kept(verdict, KILLS)
