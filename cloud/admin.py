"""Administration of a service: quarantine, replay, verification. Behind the control socket and the command line."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

from cloud.fleet.registry import FleetRegistry
from cloud.ingest.pipeline import Message
from cloud.ingest.service import Ingest
from cloud.ops.control import Quarantined, Replayed, Verdict
from cloud.telemetry import quarantine
from cloud.telemetry.store import TelemetryStore
from cloud.telemetry.verify import verify
from sync_protocol import subjects
from sync_protocol.errors import Unavailable

Note = Callable[[Iterable[int], str], Awaitable[None]]
REPLAY_PATIENCE_S = 60.0
# So many commits may be under way when messages are taken in; their own comes at the latest as the next.
_COMMITS_AHEAD = 3


class Admin:
    """Works on the store, whatever the tenant; replay also needs ingest."""

    def __init__(
        self, store: TelemetryStore, registry: FleetRegistry, note: Note, ingest: Ingest | None = None
    ) -> None:
        """`note` writes down, in the logs of these tenants, that somebody looks at something of theirs."""
        self._store = store
        self._registry = registry
        self._note = note
        self._ingest = ingest

    async def quarantined(self) -> list[Quarantined]:
        """What lies in quarantine, latest first."""
        tenants = self._registry.tenants().values()
        await self._note(tenants, "quarantine")
        found = await self._store.read(lambda cursor: [quarantine.list_quarantined(cursor, t) for t in tenants])
        rows = sorted((row for rows in found for row in rows), key=lambda row: row.last_seen_us, reverse=True)
        return [
            Quarantined(
                id=row.id,
                device=self._name(row.device_id),
                stream_no=row.stream_no,
                seq=row.seq,
                kind=row.kind,
                reason=row.reason,
                first_seen=_iso(row.first_seen_us),
                last_seen=_iso(row.last_seen_us),
                times=row.times,
                size_bytes=row.size_bytes,
            )
            for row in rows
        ]

    async def replay(self, ids: list[int]) -> Replayed:
        """Put quarantined bytes through ingest again and clear what is stored then. No ids: everything but forks."""
        ingest = self._ingest
        if ingest is None:
            raise Unavailable("ingest does not run")
        tenants = self._registry.tenants().values()
        await self._note(tenants, "quarantine")
        found = await self._store.read(
            lambda cursor: [quarantine.quarantined_bodies(cursor, tenant, ids or None) for tenant in tenants]
        )
        messages: list[Message] = []
        for _, device_id, first_seen_us, data in (body for bodies in found for body in bodies):
            device = self._registry.device_by_id(device_id)
            if device is not None:
                messages.append(Message(subjects.up(device.tenant, device.name), data, first_seen_us))
        if messages:
            received = ingest.counters.received + len(messages)
            ingest.replay(messages)
            await _committed(ingest, received)
        stored = await self._store.write(quarantine.clear_stored)
        return Replayed(len(messages), stored, len(messages) - stored)

    async def verify(self) -> Verdict:
        """Compare frames, ledger and samples."""
        await self._note(self._registry.tenants().values(), "ledger")
        report = await self._store.read(verify)
        figures = {
            "frames": report.frames,
            "stored": report.stored,
            "samples": report.samples,
            "rows": report.rows,
            "waiting_frames": report.waiting_frames,
            "doubled": report.doubled,
        }
        return Verdict(report.is_consistent, report.problems, figures)

    def _name(self, device_id: int) -> str:
        device = self._registry.device_by_id(device_id)
        return str(device_id) if device is None else device.name


async def _committed(ingest: Ingest, received: int) -> None:
    """Until messages that were just injected are committed."""
    try:
        async with asyncio.timeout(REPLAY_PATIENCE_S):
            while ingest.counters.received < received:
                await asyncio.sleep(0.02)
            commits = ingest.counters.commits + _COMMITS_AHEAD
            while ingest.counters.waiting and ingest.counters.commits < commits:
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise Unavailable(f"ingest did not commit within {REPLAY_PATIENCE_S:g} s") from None


def _iso(ts_us: int) -> str:
    return datetime.fromtimestamp(ts_us / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
