"""A Wi-Fi adapter at socket://host:port, and what a network does to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import socket
import threading
import time

import msgspec
import pytest

from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.errors import AdapterLost
from edge.sensors.obd.port import Port
from edge.sensors.obd.sensor import ObdSensor
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink, ElmBrain, boot_ms
from tests.support.sensor_runs import until

SPEED = catalogue().by_name["speed_kmh"].id


class WifiElm(ElmBrain):
    """Serves whoever connects. When it `is_deaf` connections stay open and nothing is said on them."""

    def __init__(self) -> None:
        super().__init__()
        self.is_deaf = False
        self.port = 0
        self.clients = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """The access point is gone: no listener, all connections cut."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients += 1
        self.power_up()
        self._writers.append(writer)
        try:
            while True:
                line = (await reader.readuntil(b"\r")).strip()
                command = line.decode("ascii", "replace").replace(" ", "").upper()
                self.received.append(command)
                if not self.is_deaf:
                    writer.write(self.reply(command, line + b"\r"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def measuring(adapter: WifiElm, **changes: object) -> AsyncIterator[tuple[ObdSensor, CollectingSink]]:
    values: dict[str, object] = {"retry_s": 0.1, "retry_max_s": 0.3, "deadline_s": 0.8, "open_deadline_s": 1.0}
    values |= {"port": f"socket://127.0.0.1:{adapter.port}"}
    config = msgspec.convert(values | changes, ObdConfig)
    sensor, sink = ObdSensor(config, boot_ms), CollectingSink()
    task = asyncio.create_task(sensor.run(sink))
    try:
        yield sensor, sink
    finally:
        task.cancel()
        await asyncio.wait([task])
        await adapter.stop()
        assert {values[SPEED] for _, _, values in sink.rows if SPEED in values} <= {50}


def speeds(sink: CollectingSink) -> int:
    return sum(SPEED in values for _, _, values in sink.rows)


def test_a_link_that_is_half_open_is_noticed_and_left_for_a_new_one() -> None:
    async def body() -> None:
        adapter = WifiElm()
        await adapter.start()
        async with measuring(adapter) as (sensor, sink):
            await until(lambda: speeds(sink) > 1)
            adapter.is_deaf = True  # nothing comes back, not even a FIN
            begun_s = time.monotonic()
            await until(lambda: sensor.state().link == "failing")
            assert time.monotonic() - begun_s < 5  # a round begins, and two deadlines pass
            adapter.is_deaf = False
            before, clients = speeds(sink), adapter.clients
            await until(lambda: sensor.state().link == "open" and speeds(sink) > before)
            assert adapter.clients >= clients

    asyncio.run(asyncio.wait_for(body(), 60))


def test_an_access_point_that_comes_back_is_found_again() -> None:
    async def body() -> None:
        adapter = WifiElm()
        await adapter.start()
        async with measuring(adapter) as (sensor, sink):
            await until(lambda: speeds(sink) > 1)
            await adapter.stop()
            await until(lambda: sensor.state().link == "failing" and "refused" in sensor.state().detail)
            await adapter.start()
            before = speeds(sink)
            await until(lambda: sensor.state().link == "open" and speeds(sink) > before)
            assert sink.of("obd_lost") == [{"reason": "adapter_lost"}]

    asyncio.run(asyncio.wait_for(body(), 60))


async def longest_stop_s(work: "asyncio.Task[None]") -> float:
    """How long the loop stood still while `work` was under way."""
    longest_s, last_s = 0.0, time.monotonic()
    while not work.done():
        await asyncio.sleep(0.01)
        now_s = time.monotonic()
        longest_s, last_s = max(longest_s, now_s - last_s), now_s
    return longest_s


async def opening_fails(url: str, deadline_s: float, words: str) -> float:
    """Seconds until it has failed with these words; the loop runs on meanwhile."""

    async def attempt() -> None:
        with pytest.raises(AdapterLost, match=words):
            await Port.open(url, 0, deadline_s)

    begun_s = time.monotonic()
    task = asyncio.create_task(attempt())
    assert await longest_stop_s(task) < 0.5
    await task
    return time.monotonic() - begun_s


def test_a_connect_that_hangs_is_given_up_in_time() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        crowd = []
        for _ in range(4):  # fill the queue of connections that nobody accepts
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            crowd.append(client)
        try:
            assert asyncio.run(opening_fails(url, 0.7, "no end within 0.7 s")) < 1.5
        finally:
            for client in crowd:
                client.close()


def test_a_name_server_that_hangs_costs_one_thread_not_one_at_each_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on = threading.Event()

    def hanging(*_args: object, **_options: object) -> list[object]:
        may_go_on.wait(20)
        raise socket.gaierror("no such name")

    async def body() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", hanging)
        try:
            assert await opening_fails("socket://adapter.invalid:35000", 0.5, "no end within") < 1.5
            threads = threading.active_count()
            for _ in range(5):
                assert await opening_fails("socket://adapter.invalid:35000", 0.5, "the last attempt still hangs") < 0.5
            assert threading.active_count() == threads
        finally:
            may_go_on.set()
        await until(lambda: threading.active_count() < threads)
        assert await opening_fails("socket://adapter.invalid:35000", 2.0, "no such name") < 1.5

    asyncio.run(body())
