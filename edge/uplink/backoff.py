"""Waiting times that double and are spread, so that a thousand vehicles do not come back in the same second."""

from random import Random


class Backoff:
    """Each `next_s` is between half and all of a time that doubles from `first_s` up to `most_s`. Never ends."""

    def __init__(self, first_s: float, most_s: float, random: Random | None = None) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._random = random or Random()
        self._next_s = first_s

    def next_s(self) -> float:
        """How long to wait now."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._most_s)
        return wait_s * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It has worked: start from the shortest time again."""
        self._next_s = self._first_s
