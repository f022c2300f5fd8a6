"""The two engines of the relational side, as parameters of fixtures."""

import pytest

# `slow`, because a server takes its two seconds: `just check` asks SQLite only.
ENGINES = ["sqlite", pytest.param("postgres", marks=[pytest.mark.peer, pytest.mark.slow])]
