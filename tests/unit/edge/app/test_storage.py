"""The outbox lies in memory while the disk cannot be used, and what it holds there is sent before it is left."""

import asyncio
from pathlib import Path

import pytest

from edge.config import DeviceConfig, OutboxConfig
from edge.outbox.opening import outbox_path
from edge.storage import Storage, open_storage
from sync_protocol.errors import Conflict, Unavailable
from tests.support.edge_fakes import IDENTITY, frame_maker


@pytest.fixture
def config(tmp_path: Path) -> DeviceConfig:
    return DeviceConfig(
        tenant=IDENTITY.tenant,
        device=IDENTITY.device,
        state_dir=str(tmp_path / "disk"),
        memory_dir=str(tmp_path / "memory"),
        outbox=OutboxConfig(size_mb=0.25, ballast_kb=0),
    )


async def acknowledge_all(storage: Storage) -> None:
    streams = await storage.outbox.hello_streams()
    await storage.outbox.call(
        lambda outbox: [stream.ack(1, stream.last_seq) for stream in outbox.streams if stream.last_seq]
    )
    assert streams


def test_a_disk_that_can_be_used_is_used(config: DeviceConfig) -> None:
    async def scene() -> None:
        storage = await open_storage(config, IDENTITY)
        assert storage.trouble is None
        assert storage.socket_path == config.socket_path == Path(config.state_dir) / "agent.sock"
        with pytest.raises(Conflict):
            await open_storage(config, IDENTITY)
        await storage.outbox.close()
        assert not Path(config.memory_dir).exists()

    asyncio.run(scene())


def test_memory_until_the_disk_is_back_and_everything_is_sent(config: DeviceConfig) -> None:
    disk = Path(config.state_dir)
    disk.write_bytes(b"in the way")

    async def scene() -> None:
        storage = await open_storage(config, IDENTITY)
        assert storage.trouble is not None
        assert str(disk) in storage.trouble
        storage.socket_path.touch()
        assert config.socket_path == storage.socket_path, "the commands find it"
        await storage.outbox.append(frame_maker(200), {})
        regained = asyncio.Event()
        looking = asyncio.create_task(storage.regain(regained.set, every_s=0.001))
        disk.unlink()
        await asyncio.sleep(0.02)
        assert not regained.is_set(), "a frame is still to be sent"
        await storage.outbox.close()
        looking.cancel()

        again = await open_storage(config, IDENTITY)
        assert again.trouble is not None, "also after a restart"
        disk.write_bytes(b"in the way")
        await acknowledge_all(again)
        async with asyncio.timeout(20):
            looking = asyncio.create_task(again.regain(regained.set, every_s=0.001))
            await asyncio.sleep(0.02)
            assert not regained.is_set(), "the disk is not back"
            disk.unlink()
            await regained.wait()
            await looking
        await again.outbox.close()

        storage = await open_storage(config, IDENTITY)
        assert storage.trouble is None
        assert list(Path(config.memory_dir).iterdir()) == []
        await storage.outbox.close()

    asyncio.run(scene())


def test_without_memory_either_the_disk_is_named(config: DeviceConfig) -> None:
    for folder in (config.state_dir, config.memory_dir):
        Path(folder).write_bytes(b"in the way")
    with pytest.raises(Unavailable, match=config.state_dir):
        asyncio.run(open_storage(config, IDENTITY))


def test_a_file_that_cannot_be_read_is_trouble(config: DeviceConfig) -> None:
    outbox_path(Path(config.state_dir), config.tenant, config.device).mkdir(parents=True)

    async def scene() -> None:
        storage = await open_storage(config, IDENTITY)
        assert storage.trouble is not None
        await storage.outbox.close()

    asyncio.run(scene())
