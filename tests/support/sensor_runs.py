"""Running a sensor in a test: its task, a deadline for all that is waited for, an OBD configuration in a hurry."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from edge.sensors.base import Sensor
from edge.sensors.obd.config import ObdConfig
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink, FakeElm

_QUICK = {
    s.name: 0.05 if s.period_s < 10 else 0.2 if s.period_s < 60 else 0.5 for s in catalogue().signals if s.period_s >= 1
}


def quick_obd(elm: FakeElm, **changes: object) -> ObdConfig:
    """Periods of 50 ms from 1 s on, 200 ms from 10 s, 500 ms from 60 s, and waits as short."""
    values: dict[str, object] = {
        "port": str(elm.link),
        "periods_s": _QUICK,
        "retry_s": 0.05,
        "retry_max_s": 0.2,
        "voltage_period_s": 0.05,
        "probe_spacing_s": 0.1,
        "probe_period_s": 60.0,
        "dtc_period_s": 0.3,
    }
    return msgspec.convert(values | changes, ObdConfig)


@asynccontextmanager
async def running(sensor: Sensor) -> AsyncIterator[CollectingSink]:
    """The sensor runs inside; afterwards it is cancelled, and must end at once."""
    sink = CollectingSink()
    task = asyncio.create_task(sensor.run(sink))
    try:
        yield sink
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()


async def until(condition: Callable[[], object], deadline_s: float = 15) -> None:
    """Wait for a condition; TimeoutError after the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.01)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test with a deadline for the whole of it."""

    async def body() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(body())
