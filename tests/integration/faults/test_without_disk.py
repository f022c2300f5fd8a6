"""A device whose card cannot be used is not silent: it measures, sends, says why, and goes back when it can."""

import asyncio
from pathlib import Path
import resource

from tests.support.agent_process import AgentProcess, write_recording
from tests.support.cloud_double import NatsCloud
from tests.support.nats_peer import NatsPeer
from tests.support.waiting import until


def test_an_outbox_that_cannot_be_opened_costs_no_frame(tmp_path: Path) -> None:
    recording = tmp_path / "drive.jsonl"
    write_recording(recording, 600)

    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker, AgentProcess(broker.url, recording) as agent:
            outbox = agent.folder / "state" / "outbox.acme.van-1.db"
            outbox.mkdir(parents=True)  # what a card that fails may show instead of a file
            async with NatsCloud(broker.url, "acme", "van-1") as cloud:
                await asyncio.to_thread(agent.start)
                await until(lambda: len(cloud.double.frames) >= 10, 30, "frames, from memory")
                doctor = await asyncio.to_thread(agent.command, "doctor")
                assert doctor.code == 1
                assert f"storage: {outbox}: Is a directory; working in memory" in doctor.out
                status = await asyncio.to_thread(agent.command, "status")
                assert status.code == 0, status.err
                await asyncio.to_thread(agent.kill)
                await asyncio.to_thread(agent.start)
                assert await asyncio.to_thread(agent.stop) == 0
                assert cloud.double.pending() <= 1
                in_memory = set(cloud.double.ledgers)

                outbox.rmdir()
                await asyncio.to_thread(agent.start)
                await until(lambda: set(cloud.double.ledgers) > in_memory, 30, "frames from the disk, a new stream")
                on_disk = (await asyncio.to_thread(agent.ask, "status"))["storage_trouble"]
                assert on_disk is None
                assert outbox.is_file()
                await asyncio.to_thread(agent.stop)

    asyncio.run(scene())


def test_a_disk_that_fails_under_a_running_agent_ends_it_instead_of_silencing_it(tmp_path: Path) -> None:
    """Every write fails from one moment on, as on a file system that the kernel has turned read-only."""
    recording = tmp_path / "drive.jsonl"
    write_recording(recording, 600)

    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker, AgentProcess(broker.url, recording) as agent:
            async with NatsCloud(broker.url, "acme", "van-1") as cloud:
                await asyncio.to_thread(agent.start)
                await until(lambda: len(cloud.double.frames) >= 3, 30, "frames")
                process = agent.process
                assert process is not None
                room_bytes = len(agent.log()) + 8192  # its log is a file here, and goes on
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room_bytes, resource.RLIM_INFINITY))
                await until(lambda: process.poll() is not None, 30, "its end")
                assert process.returncode == 69, "whoever supervises it starts it again, into memory if it must be"
                assert "outbox.acme.van-1.db: disk I/O error" in agent.log().splitlines()[-1]

    asyncio.run(scene())
