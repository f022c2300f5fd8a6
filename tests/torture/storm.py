"""The storm: real agents, broker and cloud, killed with SIGKILL at random, over links that misbehave."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
import json
import os
from pathlib import Path
import random
import signal
import sys
import time

from edge.control import ask
from edge.ledger_view import read_ledger
from edge.outbox.opening import outbox_path
from sync_protocol.errors import MilepostError
from tests.support.broker_process import BrokerProcess
from tests.support.chaos_proxy import ChaosProxy

FRAME_PERIOD_S = 1.0
PATIENCE_S = 90.0
_LAST_WORDS_ROUNDS = 5


class Program:
    """One of our programs as a process that is killed and started again; its output is appended to a log."""

    def __init__(self, name: str, directory: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self._log = directory / f"{name}.log"
        self._arguments = arguments
        clean = {key: value for key, value in os.environ.items() if not key.startswith("MILEPOST")}
        self._environment = {**clean, **environment}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self._arguments, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment,
            )  # fmt: skip

    async def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send the signal and wait for the end. A program that ended by itself before is a failure of its own."""
        assert self._process is not None
        if self._process.returncode is not None:
            raise AssertionError(f"{self.name} ended by itself with {self._process.returncode}: {self.tail()}")
        self._process.send_signal(how)
        await asyncio.wait_for(self._process.wait(), 30)

    def tail(self) -> str:
        """The last lines it wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None


class Device:
    """An agent in a simulated vehicle, behind its own proxy; each of its lives leaves a log of its sensors.

    A metered one sends bundles.
    """

    def __init__(self, directory: Path, facts: dict[str, str], proxy: ChaosProxy, *, is_metered: bool) -> None:
        self.name = facts["name"]
        self.home = directory / "devices" / self.name
        self.home.mkdir(parents=True)
        self.proxy = proxy
        config = self.home / "device.toml"
        config.write_text(
            f'tenant = "demo"\ndevice = "{self.name}"\nstate_dir = "{self.home}"\n{facts["device_toml"]}\n'
            f"[sampling]\nframe_period_s = {FRAME_PERIOD_S}\nwatched_period_s = {FRAME_PERIOD_S}\n"
            f'[uplink]\nurl = "nats://127.0.0.1:{proxy.port}"\nack_timeout_s = 2.0\nretry_s = 0.2\nretry_max_s = 1.0\n'
            f"hello_after_s = 3.0\nhello_wait_s = 1.0\nconnect_timeout_s = 2.0\n"
            f'[uplink.policy]\nmode = "{"metered" if is_metered else "normal"}"\nbundle_s = 5.0\n',
            encoding="utf-8",
        )
        self.program = Program(f"agent-{self.name}", directory, ["edge.cli", "--config", str(config), "run"], {})
        self.logs: list[Path] = []

    @property
    def outbox(self) -> Path:
        return outbox_path(self.home, "demo", self.name)

    async def start(self) -> None:
        """Start, and have the sensors logged from the first moment the agent answers."""
        await self.program.start()
        log = self.home / f"sensors-{len(self.logs):04d}.jsonl"
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.program.is_running():
            with suppress(MilepostError, OSError):
                await asyncio.to_thread(ask, self.home / "agent.sock", "record_start", path=str(log))
                self.logs.append(log)
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{self.name} does not answer: {self.program.tail()}")


class Storm:
    """Everything that runs, and what was done to it."""

    def __init__(self, directory: Path, devices: int, seed: int) -> None:
        self.directory = directory
        self.count = devices
        self.rng = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.tricks: Counter[str] = Counter()
        self.devices: list[Device] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All parts up, and at the end all of them down."""
        async with AsyncExitStack() as stack:
            self.broker = await stack.enter_async_context(BrokerProcess(self.directory / "nats"))
            self.cloud = Program(
                "cloud", self.directory,
                ["cloud.cli", "--data-dir", str(self.directory / "cloud"), "serve", "--demo", "--port", "0"],
                {"MILEPOST__NATS__URL": self.broker.url, "MILEPOST__NATS__DISK_RESERVE_BYTES": "0",
                 "MILEPOST__INGEST__ACK_DELAY_S": "0.2"},
            )  # fmt: skip
            await self.cloud.start()
            stack.push_async_callback(_down, self.cloud)
            vehicles = self.directory / "vehicles"
            simulator = Program(
                "simulator", self.directory,
                ["edge.cli", "simulate", "-n", str(self.count), "--dir", str(vehicles), "--quiet", "--instant"], {},
            )  # fmt: skip
            await simulator.start()
            stack.push_async_callback(_down, simulator)
            await until(lambda: (vehicles / "control.sock").exists(), "the simulator")
            for file in sorted(vehicles.glob("*/simulator.json")):
                proxy = await stack.enter_async_context(ChaosProxy(lambda: self.broker.port, self.rng.random()))
                device = Device(self.directory, json.loads(file.read_bytes()), proxy, is_metered=not self.devices)
                self.devices.append(device)
                await device.start()
                stack.push_async_callback(_down, device.program)
            yield

    async def blow(self, kills: int) -> None:
        """Kill and cut until there were so many kills."""
        calm = asyncio.create_task(self._trick())
        try:
            while self.kills.total() < kills:
                await asyncio.sleep(self.rng.uniform(0.2, 1.5))
                await self._kill(self.rng.choices(("agent", "cloud", "broker"), (6, 2, 2))[0])
        finally:
            calm.cancel()
            for device in self.devices:
                device.proxy.duplicate = device.proxy.reorder = 0.0
                device.proxy.is_swallowing = False

    async def _kill(self, part: str) -> None:
        if part == "agent":
            device = self.rng.choice(self.devices)
            await device.program.end()
            self.kills[part] += 1
            await asyncio.sleep(self.rng.uniform(0, 0.5))
            await device.start()
        elif part == "cloud":
            await self.cloud.end()
            self.kills[part] += 1
            await asyncio.sleep(self.rng.uniform(0, 1.0))
            await self.cloud.start()
        else:
            await self.broker.kill()
            self.kills[part] += 1
            await asyncio.sleep(self.rng.uniform(0, 1.0))
            await self.broker.start()

    async def _trick(self) -> None:
        """Turn the knobs of the links, on and on."""
        while True:
            proxy = self.rng.choice(self.devices).proxy
            proxy.duplicate = self.rng.choice((0.0, 0.0, 0.2, 0.6))
            proxy.reorder = self.rng.choice((0.0, 0.0, 0.2, 0.5))
            trick = self.rng.choice(("cut", "half_open", "none"))
            self.tricks[trick] += 1
            if trick == "cut":
                proxy.cut()
            proxy.is_swallowing = trick == "half_open"
            await asyncio.sleep(self.rng.uniform(0.3, 2.0))
            if trick == "half_open":
                proxy.is_swallowing = False
                proxy.cut()  # as a radio link ends: nobody was told

    async def settle(self) -> None:
        """Let everything arrive, then end the agents properly and the cloud after them."""
        for device in self.devices:
            for _ in range(_LAST_WORDS_ROUNDS):
                await until(lambda d=device: _has_drained(d), f"{device.name}: every frame acknowledged", PATIENCE_S)
                await device.program.end(signal.SIGTERM)
                if not read_ledger(device.outbox).pending:
                    break
                await device.start()  # its last words did not arrive in time: they are safe, and go now
        await self.cloud.end(signal.SIGTERM)


def _has_drained(device: Device) -> bool:
    with suppress(MilepostError):
        return int(ask(device.home / "agent.sock", "status")["frames"]["pending"]) <= 1  # one is always on its way
    return False


async def _down(program: Program) -> None:
    if program.is_running():
        await program.end()


async def until(check: Callable[[], bool], what: str, patience_s: float = 30.0) -> None:
    """Wait until `check()` is true."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if await asyncio.to_thread(check):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {patience_s:.0f} s: {what}")
