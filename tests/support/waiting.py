"""Waiting for something to become true, with a deadline, instead of sleeping and hoping."""

import asyncio
from collections.abc import Awaitable, Callable
import time


def wait_until(is_true: Callable[[], bool], within_s: float, what: str) -> None:
    """Poll until `is_true()`; AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.01)


async def until(is_true: Callable[[], bool] | Callable[[], Awaitable[bool]], within_s: float, what: str) -> None:
    """As `wait_until`, on the event loop; the condition may be a coroutine function."""
    deadline = time.monotonic() + within_s
    while True:
        answer = is_true()
        if answer is True or (not isinstance(answer, bool) and await answer):
            return
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        await asyncio.sleep(0.01)
