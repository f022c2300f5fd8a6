"""Guessing gets slower for the one who guesses, and for nobody else."""

import pytest

from cloud.http.problem import Throttled
from cloud.identity.throttle import FORGOTTEN_S, LONGEST_WAIT_S, Throttle


class Guesser:
    def __init__(self) -> None:
        self.now_s = 0.0
        self.throttle = Throttle(lambda: self.now_s)

    def tries(self, key: str = "a") -> float:
        """How long this key has to wait; 0 when it may try."""
        try:
            self.throttle.attempt(key)
        except Throttled as err:
            return err.retry_after_s
        return 0.0


def test_five_are_free_then_the_wait_doubles() -> None:
    at = Guesser()
    assert [at.tries() for _ in range(6)] == [0, 0, 0, 0, 0, 2]
    at.now_s += 1.5
    assert at.tries() == 0.5, "asking in vain makes it no longer"
    at.now_s += 0.5
    assert at.tries() == 0
    assert at.tries() == 4


def test_the_wait_has_an_end_and_failures_are_forgotten() -> None:
    at = Guesser()
    for _ in range(41):
        at.now_s += at.tries()
    assert at.tries() == LONGEST_WAIT_S
    at.now_s += FORGOTTEN_S + 1
    assert [at.tries() for _ in range(5)] == [0] * 5


def test_others_do_not_wait_and_success_clears() -> None:
    at = Guesser()
    for _ in range(6):
        at.tries("guesser")
    assert at.tries("owner") == 0
    at.throttle.succeeded("guesser")
    assert at.tries("guesser") == 0


def test_a_flood_of_keys_fills_no_memory_and_forgets_the_oldest() -> None:
    throttle = Throttle(lambda: 0.0, free=1, most_keys=10)
    for number in range(11):
        throttle.attempt(number)
    throttle.attempt(0)
    with pytest.raises(Throttled):
        throttle.attempt(10)
