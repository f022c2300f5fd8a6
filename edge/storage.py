"""Where the outbox lies: on the disk; in memory while the disk cannot be used, so that the vehicle is not silent."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from edge.config import DeviceConfig
from edge.outbox.opening import Identity, outbox_path
from edge.outbox.room import Room
from edge.outbox.worker import OutboxWorker
from sync_protocol.errors import Full, Unavailable

_MEMORY_BYTES = 16 << 20
_LOOK_EVERY_S = 60.0

log = structlog.get_logger()


class Storage:
    """An open outbox. `trouble` is why it lies in memory, None when it is on the disk."""

    def __init__(self, config: DeviceConfig, identity: Identity, outbox: OutboxWorker, trouble: str | None) -> None:
        self._config = config
        self._identity = identity
        self.outbox = outbox
        self.trouble = trouble

    @property
    def socket_path(self) -> Path:
        """Where the agent shall be spoken to: beside its outbox, unless the configuration says where."""
        config = self._config
        is_moved = self.trouble is not None and config.socket is None
        return config.memory_socket_path if is_moved else config.disk_socket_path

    async def regain(self, on_regained: Callable[[], None], every_s: float = _LOOK_EVERY_S) -> None:
        """While in memory, see whether the disk can be used again and everything here has been sent; then tell."""
        while self.trouble is not None:
            await asyncio.sleep(every_s)
            if (await self.outbox.totals()).pending:
                continue
            with suppress(Unavailable, Full):
                await (await _on_disk(self._config, self._identity)).close()
                log.info("storage_regained", path=self._config.state_dir)
                on_regained()
                return


async def open_storage(config: DeviceConfig, identity: Identity) -> Storage:
    """Open the outbox. `Conflict` when another agent has it; what the disk says when memory is no help either."""
    left_over = outbox_path(Path(config.memory_dir), config.tenant, config.device)
    if left_over.exists():
        in_memory = await _in_memory(config, identity)
        if (await in_memory.totals()).pending:
            return Storage(config, identity, in_memory, "frames of a time without it are still to be sent")
        await in_memory.close()
    try:
        on_disk = await _on_disk(config, identity)
    except (Unavailable, Full) as trouble:
        try:
            in_memory = await _in_memory(config, identity)
        except (Unavailable, Full):
            raise trouble from None
        log.error("storage_lost", reason=str(trouble), instead=config.memory_dir)
        return Storage(config, identity, in_memory, str(trouble))
    for file in left_over.parent.glob(f"{left_over.name}*"):
        file.unlink()
    if config.socket is None:
        config.memory_socket_path.unlink(missing_ok=True)
    return Storage(config, identity, on_disk, None)


async def _on_disk(config: DeviceConfig, identity: Identity) -> OutboxWorker:
    room = Room(round(config.outbox.size_mb * (1 << 20)), config.outbox.ballast_kb * 1024)
    return await OutboxWorker.open(outbox_path(Path(config.state_dir), config.tenant, config.device), identity, room)


async def _in_memory(config: DeviceConfig, identity: Identity) -> OutboxWorker:
    room = Room(min(round(config.outbox.size_mb * (1 << 20)), _MEMORY_BYTES), 0)
    return await OutboxWorker.open(outbox_path(Path(config.memory_dir), config.tenant, config.device), identity, room)
