"""Asking a vehicle for a range of its history out of turn, and what became of it.

The command is repeated until the device says how it ended, so one that is offline hears it when it is back. Requests
outlive a restart of the service; what a pull brought is stored like everything else.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session
import structlog

from cloud.facts import Relational
from cloud.fleet.neighbours import EventRow, Telemetry
from cloud.fleet.pull_rows import remove_pulls, save_pulls
from cloud.fleet.pull_view import Pull, TimeSpan
from cloud.fleet.registry import FleetRegistry
from sync_protocol import subjects
from sync_protocol.errors import Conflict, NotFound
from sync_protocol.messages import Command, encode_down

_KINDS = ("pull_done", "pull_refused")
_SOON_S, _REPEAT_S = 5.0, 30.0
_EXPIRES = timedelta(hours=24)
_CLOCK_ERROR = timedelta(hours=1)
_MOST_OPEN = 8
_MOST_KEPT = 50

Publish = Callable[[str, bytes], Awaitable[object]]
log = structlog.get_logger()


class Pulls:
    """All pulls, by vehicle. Lives in the event loop.

    `telemetry` gives the history that a vehicle's tenant sees, `number` the strictly rising numbers of commands.
    """

    def __init__(
        self,
        registry: FleetRegistry,
        telemetry: Callable[[int], Telemetry],
        publish: Publish,
        number: Callable[[], int],
        db: Relational,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._registry = registry
        self._telemetry = telemetry
        self._publish = publish
        self._number = number
        self._db = db
        self._clock = clock
        self._pulls: dict[int, Pull] = {}

    def load(self, pulls: Iterable[Pull]) -> None:
        """Take over what was asked before the service was started."""
        self._pulls.update({pull.id: pull for pull in pulls})

    async def ask(self, vehicle_id: int, start: datetime, end: datetime, most_mb: float) -> Pull:
        """Ask the vehicle's device. `NotFound`: none sits in it. `Conflict`: too much is asked of it already."""
        if self._registry.device_of(vehicle_id) is None:
            raise NotFound(f"no device sits in vehicle {vehicle_id}")
        known = [pull for pull in self._pulls.values() if pull.vehicle_id == vehicle_id]
        if sum(pull.state == "requested" for pull in known) >= _MOST_OPEN:
            raise Conflict(f"vehicle {vehicle_id} is asked for {_MOST_OPEN} ranges already")
        old = [pull.id for pull in known if pull.state != "requested"][:-_MOST_KEPT]
        for number in old:
            del self._pulls[number]
        pull = Pull(
            id=self._number(),
            vehicle_id=vehicle_id,
            from_=start,
            to=end,
            most_mb=most_mb,
            state="requested",
            asked_at=self._clock(),
        )
        self._pulls[pull.id] = pull
        await self._save([pull], old)
        await self._send(pull)
        log.info("pull_requested", vehicle_id=vehicle_id, number=pull.id, most_mb=most_mb)
        return pull

    async def of_vehicle(self, vehicle_id: int) -> list[Pull]:
        """All pulls of a vehicle, newest first."""
        await self._look(vehicle_id)
        return sorted((p for p in self._pulls.values() if p.vehicle_id == vehicle_id), key=lambda p: -p.id)

    async def one(self, vehicle_id: int, number: int) -> Pull:
        """One pull; `NotFound` when there is none of this number."""
        await self._look(vehicle_id)
        pull = self._pulls.get(number)
        if pull is None or pull.vehicle_id != vehicle_id:
            raise NotFound(f"There is no pull {number} of vehicle {vehicle_id}.")
        return pull

    async def cancel(self, vehicle_id: int, number: int) -> Pull:
        """The device shall send no more of it. What has arrived stays."""
        pull = await self.one(vehicle_id, number)
        if pull.state != "requested":
            raise Conflict(f"pull {number} is {pull.state}")
        pull.state = "cancelled"
        await self._save([pull])
        await self._command(vehicle_id, self._number(), "pull_cancel", {"number": number}, self._clock() + _EXPIRES)
        return pull

    async def run(self) -> None:
        """Repeat what is open. Runs until cancelled."""
        wait_s = _SOON_S
        while True:
            await asyncio.sleep(wait_s)
            wait_s = _REPEAT_S
            for vehicle_id in {pull.vehicle_id for pull in self._pulls.values() if pull.state == "requested"}:
                await self._look(vehicle_id)
            for pull in list(self._pulls.values()):
                if pull.state == "requested":
                    await self._send(pull)

    async def _save(self, pulls: Sequence[Pull], old: Sequence[int] = ()) -> None:
        tenant_id = self._registry.owner_of(pulls[0].vehicle_id)

        def write(session: Session) -> None:
            save_pulls(session, tenant_id, pulls)
            remove_pulls(session, old)

        await self._db.write(write)

    async def _send(self, pull: Pull) -> None:
        args = {
            "from_utc_ms": round(pull.from_.timestamp() * 1000),
            "to_utc_ms": round(pull.to.timestamp() * 1000),
            "most_bytes": round(pull.most_mb * 1_000_000),
        }
        await self._command(pull.vehicle_id, pull.id, "pull", args, pull.asked_at + _EXPIRES)

    async def _command(self, vehicle_id: int, number: int, kind: str, args: dict[str, Any], until: datetime) -> None:
        device = self._registry.device_of(vehicle_id)
        if device is not None:
            command = Command(number, kind, round(until.timestamp() * 1000), args)
            await self._publish(subjects.down(device.tenant, device.name), encode_down(command))

    async def _look(self, vehicle_id: int) -> None:
        """What the device has told of the open pulls, by the events that are stored."""
        open_pulls = {p.id: p for p in self._pulls.values() if p.vehicle_id == vehicle_id and p.state == "requested"}
        if not open_pulls:
            return
        now = self._clock()
        since = min(pull.asked_at for pull in open_pulls.values()) - _CLOCK_ERROR
        rows = await self._telemetry(vehicle_id).events(vehicle_id, since, now + _CLOCK_ERROR, _KINDS, 1000, None)
        _settle(open_pulls, rows)
        for pull in open_pulls.values():
            if pull.state == "requested" and now - pull.asked_at > _EXPIRES:
                pull.state = "expired"
        settled = [pull for pull in open_pulls.values() if pull.state != "requested"]
        if settled:
            await self._save(settled)


def _settle(open_pulls: dict[int, Pull], rows: Sequence[EventRow]) -> None:
    for row in rows:
        pull = open_pulls.get(row.data.get("number", 0))
        if pull is None:
            continue
        if row.kind == "pull_refused":
            pull.state, pull.reason = "refused", str(row.data.get("reason"))
            continue
        pull.state = "done"
        pull.frames, pull.size_bytes = row.data.get("frames"), row.data.get("size_bytes")
        pull.is_cut = bool(row.data.get("is_cut"))
        pull.missing = [TimeSpan(_utc(first), _utc(last)) for first, last in row.data.get("missing_utc_ms") or ()]
        first, last = row.data.get("held_from_utc_ms"), row.data.get("held_to_utc_ms")
        pull.held = None if first is None or last is None else TimeSpan(_utc(first), _utc(last))


def _utc(ts_ms: int) -> datetime:
    return datetime.fromtimestamp(ts_ms / 1000, UTC)
