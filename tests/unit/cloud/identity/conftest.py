"""Two tenants without anybody in them."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.people import Town


@pytest.fixture
def town(new_url: Callable[[], str]) -> Iterator[Town]:
    made = Town(new_url())
    yield made
    made.close()
