"""How many requests one caller may make: a bucket of tokens for each person, key or address."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

from cloud.http.problem import Throttled

_MOST_CALLERS = 50_000


class Rates:
    """`per_s` requests a second, and `burst` at once. `clock` is monotonic, seconds."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float], most_callers: int = _MOST_CALLERS) -> None:
        self._per_s = per_s
        self._burst = float(burst)
        self._clock = clock
        self._most_callers = most_callers
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, caller: Hashable) -> None:
        """Count a request. `Throttled` when the caller has to wait."""
        now = self._clock()
        tokens, then = self._buckets.get(caller, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._per_s)
        if tokens < 1.0:
            raise Throttled("Too many requests: slow down.", (1.0 - tokens) / self._per_s)
        self._buckets[caller] = tokens - 1.0, now
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._most_callers:
            self._buckets.popitem(last=False)
