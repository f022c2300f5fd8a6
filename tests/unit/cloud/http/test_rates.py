"""Each caller has a bucket of its own."""

import pytest

from cloud.http.problem import Throttled
from cloud.http.rates import Rates


class Clocked:
    def __init__(self, most_callers: int = 100) -> None:
        self.now_s = 0.0
        self.rates = Rates(10.0, 3, lambda: self.now_s, most_callers)


def test_a_burst_then_the_rate() -> None:
    at = Clocked()
    for _ in range(3):
        at.rates.take("a")
    with pytest.raises(Throttled) as refused:
        at.rates.take("a")
    assert refused.value.retry_after_s == pytest.approx(0.1)
    at.rates.take("b")
    at.now_s += 0.1
    at.rates.take("a")
    with pytest.raises(Throttled):
        at.rates.take("a")


def test_a_flood_of_callers_fills_no_memory() -> None:
    at = Clocked(most_callers=2)
    for caller in "abcdef":
        at.rates.take(caller)
    assert len(at.rates._buckets) == 2
