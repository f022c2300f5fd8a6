"""An event loop whose time goes from timer to timer: at once, or at a pace."""

import asyncio
from collections.abc import Callable
import selectors
import time
from typing import Any, TypeVar

T = TypeVar("T")


class _Paced(selectors.DefaultSelector):
    """Time goes on only when nothing is ready. Nothing from outside is waited for."""

    def __init__(self, start_s: float, speed: float) -> None:
        super().__init__()
        self.now_s = start_s
        self._speed = speed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("everything in the loop waits, and no timer will end it")
        if self._speed > 0:
            time.sleep(timeout / self._speed)
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time is device time in seconds. Peers live in this loop; work for a thread is done on the spot."""

    def __init__(self, start_ms: float = 0.0, speed: float = 0.0) -> None:
        """`speed` 0: at once; 1: as fast as real time; 10: ten times as fast."""
        self._paced = _Paced(start_ms / 1000, speed)
        super().__init__(self._paced)

    def time(self) -> float:
        """Device time in seconds."""
        return self._paced.now_s

    def precise_ms(self) -> float:
        """Device time in milliseconds, to the microsecond."""
        return round(self._paced.now_s * 1_000_000) / 1000

    def boot_ms(self) -> int:
        """Device time in milliseconds."""
        return int(self.precise_ms())

    def run_in_executor(  # type: ignore[override]  # as asyncio's own, whose stub has variadic types
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Run `func` now: a thread would end at some moment, and each time at another."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as err:  # noqa: BLE001 - handed on to whoever waits, as an executor does
            done.set_exception(err)
        return done
