"""Slowing down those who guess. What counts is an account *and* the client that tries it: whoever guesses at somebody
else's password from afar slows down only himself, and the owner logs in as ever.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

from cloud.http.problem import Throttled

FREE_TRIES = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 2.0, 900.0
FORGOTTEN_S = 3600.0
_MOST_KEYS = 50_000


class Spell(NamedTuple):
    """Failures in a row of one key, and when the last was."""

    failures: int
    last_s: float


class Throttle:
    """Counts failures by key; after `free` of them each further one doubles the wait. `clock` is monotonic, seconds."""

    def __init__(self, clock: Callable[[], float], free: int = FREE_TRIES, most_keys: int = _MOST_KEYS) -> None:
        self._clock = clock
        self._free = free
        self._most_keys = most_keys
        self._spells: OrderedDict[Hashable, Spell] = OrderedDict()

    def attempt(self, key: Hashable) -> None:
        """Count an attempt as a failure until `succeeded` says otherwise. `Throttled` while the wait lasts."""
        now = self._clock()
        failures, last_s = self._spells.get(key, Spell(0, now))
        if now - last_s > FORGOTTEN_S:
            failures = 0
        if failures >= self._free:
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(30, failures - self._free))
            if now - last_s < wait_s:
                raise Throttled("Too many attempts: wait before the next.", wait_s - (now - last_s))
        self._spells[key] = Spell(failures + 1, now)
        self._spells.move_to_end(key)
        while len(self._spells) > self._most_keys:
            self._spells.popitem(last=False)

    def succeeded(self, key: Hashable) -> None:
        """Forget the failures of a key."""
        self._spells.pop(key, None)
