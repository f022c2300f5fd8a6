"""What the running agent answers on its control socket; the `milepost` commands are the ones who ask."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from importlib.metadata import version
import os
from pathlib import Path
import resource
from typing import Any, NamedTuple

from edge.clock import Clock
from edge.committer import Committer
from edge.config import DeviceConfig
from edge.control import Answer, Stream
from edge.ledger_view import LedgerView, ledger_of
from edge.live import live_values
from edge.outbox.worker import OutboxWorker
from edge.sampling.sampler import Sampler
from edge.sensing import Sensing
from edge.status import AgentStatus, LiveValue
from edge.tap import Tap
from edge.uplink.policy import Policy, TrafficView
from edge.uplink.uplink import Uplink
from edge.vehicle_answers import VehicleAnswers

_LIVE_EVERY_S = 0.5


class Parts(NamedTuple):
    """The stages of a running agent, and what they were made from."""

    config: DeviceConfig
    clock: Clock
    started_ms: int
    outbox: OutboxWorker
    committer: Committer
    sampler: Sampler
    tap: Tap
    uplink: Uplink
    policy: Policy
    sensing: Sensing
    vin: Callable[[], str | None]
    storage_trouble: str | None


class Answers:
    """One method a request. Arguments are those of the request, by name."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._vehicle = VehicleAnswers(parts.sensing.sensors, parts.tap, parts.clock.boot_ms, parts.vin)

    def answers(self) -> Mapping[str, Answer]:
        """Requests with one answer, by name."""
        return {
            "status": self.status,
            "sync": self.sync,
            "traffic": self.traffic,
            "lift_budget": self.lift_budget,
            "values": self.values,
            "record_start": self.record_start,
            "record_stop": self.record_stop,
            "watch": self.watch,
            **self._vehicle.answers(),
        }

    def streams(self) -> Mapping[str, Stream]:
        """Requests whose answers go on, by name."""
        return {"live": self.live, **self._vehicle.streams()}

    async def status(self, _args: dict[str, Any]) -> AgentStatus:
        boot_ms = self._parts.clock.boot_ms()
        utc_ms, source = self._parts.sampler.utc(boot_ms)
        return AgentStatus(
            version=version("milepost"),
            tenant=self._parts.config.tenant,
            device=self._parts.config.device,
            pid=os.getpid(),
            boot_ms=boot_ms,
            uptime_s=(boot_ms - self._parts.started_ms) / 1000,
            utc_ms=utc_ms,
            utc_source=source,
            is_watched=self._parts.sampler.is_watched(),
            vin=self._parts.vin(),
            memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            recording=self._parts.tap.recording,
            sensors={sensor.name: sensor.state() for sensor in self._parts.sensing.sensors},
            signals=len(self._parts.sampler.latest),
            frames=await self._parts.outbox.totals(),
            sampling=self._parts.sampler.health(),
            outbox=self._parts.committer.health(),
            uplink=self._parts.uplink.health(),
            link=self._parts.uplink.state(),
            traffic=self._parts.policy.view(),
            storage_trouble=self._parts.storage_trouble,
        )

    async def sync(self, _args: dict[str, Any]) -> LedgerView:
        return await self._parts.outbox.call(lambda outbox: ledger_of(outbox.streams))

    async def traffic(self, _args: dict[str, Any]) -> TrafficView:
        return self._parts.policy.view()

    async def lift_budget(self, _args: dict[str, Any]) -> TrafficView:
        self._parts.policy.lift()
        self._parts.uplink.notify()
        return self._parts.policy.view()

    async def values(self, _args: dict[str, Any]) -> list[LiveValue]:
        return live_values(self._parts.sampler, self._parts.clock.boot_ms())

    async def live(self, args: dict[str, Any]) -> AsyncIterator[list[LiveValue]]:
        while True:
            yield await self.values(args)
            await asyncio.sleep(_LIVE_EVERY_S)

    async def record_start(self, args: dict[str, Any]) -> str:
        path = Path(str(args.get("path", "")))
        await self._parts.sensing.record(path, is_raw=not args.get("rows_only"))
        return str(path)

    async def record_stop(self, _args: dict[str, Any]) -> int:
        return self._parts.tap.stop()

    async def watch(self, args: dict[str, Any]) -> None:
        self._parts.tap.watch(float(args.get("lease_s", 60)))
