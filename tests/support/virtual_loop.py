"""An event loop whose time jumps to the next timer, so that a night passes in a second and deadlines are exact."""

import asyncio
from collections.abc import Callable, Coroutine
import selectors
import threading
from typing import Any, TypeVar

T = TypeVar("T")
_PATIENCE_S = 0.001


class _Jumping(selectors.DefaultSelector):
    """Never waits: what is ready comes at once, and when nothing is, the time of the loop goes on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.threads = threading.active_count()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or threading.active_count() > self.threads:
            return super().select(_PATIENCE_S)  # a thread at work runs on real time: wait for it
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time begins at zero. Peers must live in this loop; work for an executor is done on the spot."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s

    def boot_ms(self) -> int:
        """The device's clock, in step with the loop; not zero at the start, as on a machine that is up."""
        return 1_000_000 + round(self.time() * 1000)

    def run_in_executor(  # type: ignore[override]  # as asyncio's own, whose stub has variadic types
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as err:  # noqa: BLE001 - handed on to whoever waits, as an executor does
            done.set_exception(err)
        return done


def run_virtual(test: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run `test` to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(test(loop))
