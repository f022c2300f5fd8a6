"""Somebody has decided of every table and every column whether the log shows it."""

import pytest

from cloud.app import Cloud
from cloud.audit.watched import NOT_WATCHED, WATCHED
from cloud.db.base import Base


def test_every_table_is_watched_or_not() -> None:
    assert Cloud is not None, "imports every table"
    assert set(Base.metadata.tables) == WATCHED.keys() | NOT_WATCHED.keys()
    assert not WATCHED.keys() & NOT_WATCHED.keys()


@pytest.mark.parametrize("name", WATCHED)
def test_every_column_is_shown_hidden_or_silent(name: str) -> None:
    watched = WATCHED[name]
    decided = [*watched.shown, *watched.hidden, *watched.silent]
    assert len(set(decided)) == len(decided)
    found = set(Base.metadata.tables[name].columns.keys()) - {"id", "tenant_id"}
    assert found == set(decided), f"{name}: say in cloud/audit/watched.py whether the log shows it"


def test_nothing_secret_is_shown() -> None:
    words = ("hash", "secret", "password", "email", "token", "hint")
    for name, watched in WATCHED.items():
        assert not [column for column in watched.shown if any(word in column for word in words)], name
