"""The agent as a process: killed, stopped, asked, and watched by its commands."""

import asyncio
import json
from pathlib import Path

import psutil
import pytest

from sync_protocol.codec import decode
from tests.support.agent_process import AgentProcess, write_recording
from tests.support.cloud_double import CloudDouble, NatsCloud
from tests.support.nats_peer import NatsPeer
from tests.support.waiting import until


def events(cloud: CloudDouble, kind: str) -> list[dict[str, object]]:
    return [
        event.data
        for _, body in sorted(cloud.frames.items())
        for event in decode(body).meta.events
        if event.kind == kind
    ]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "drive.jsonl"
    write_recording(path, 600, rows_a_second=10, events_every_s=3)
    return path


@pytest.mark.slow
def test_kill_9_again_and_again_loses_no_committed_frame_and_doubles_none(tmp_path: Path, recording: Path) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker, AgentProcess(broker.url, recording) as agent:
            async with NatsCloud(broker.url, "acme", "van-1") as cloud:
                for number in range(1, 5):
                    before = len(cloud.double.frames)
                    await asyncio.to_thread(agent.start)
                    await until(lambda b=before, n=number: len(cloud.double.frames) > b + 2 * n, 20, "frames")
                    agent.kill()
                await asyncio.to_thread(agent.start)
                await until(lambda: len(events(cloud.double, "agent_started")) == 5, 20, "the last start")
                assert await asyncio.to_thread(agent.stop) == 0, agent.log()
                ledger = json.loads((await asyncio.to_thread(agent.command, "sync", "--json")).out)
                assert ledger["is_agent_running"] is False
                assert (ledger["lost"], ledger["pending"], len(ledger["streams"])) == (0, 0, 1)
                assert sorted(seq for _, seq in cloud.double.frames) == list(range(1, ledger["committed"] + 1))
                starts = events(cloud.double, "agent_started")
                assert [start["previous_end"] for start in starts] == ["first_start"] + 4 * ["killed"]
                assert all(0 <= float(str(start["uncommitted_s"])) <= 0.2 for start in starts)
                assert events(cloud.double, "agent_stopping") == [{"reason": "shutdown"}]
                assert not cloud.double.forked

    asyncio.run(scene())


def test_what_was_measured_without_a_broker_arrives_later(tmp_path: Path, recording: Path) -> None:
    async def scene() -> None:
        broker = NatsPeer(tmp_path / "nats")
        with AgentProcess(broker.url, recording) as agent:
            await asyncio.to_thread(agent.start)
            await until(lambda: agent.ask("status")["frames"]["pending"] >= 10, 20, "a backlog")
            assert agent.ask("status")["link"]["link"] == "connecting"
            with broker:
                async with NatsCloud(broker.url, "acme", "van-1") as cloud:
                    await until(lambda: len(cloud.double.frames) >= 10, 20, "the backlog")
                    status = agent.ask("status")
                    for stage in ("sampling", "outbox", "uplink"):
                        health = status[stage]
                        total = health["sent"] + health["queued"] + sum(health["dropped"].values())
                        assert health["received"] == total, stage
                    assert await asyncio.to_thread(agent.stop) == 0

    asyncio.run(scene())


@pytest.mark.slow
def test_commands_while_the_agent_runs_and_when_it_does_not(tmp_path: Path, recording: Path) -> None:
    async def scene() -> None:
        with NatsPeer(tmp_path / "nats") as broker, AgentProcess(broker.url, recording) as agent:
            async with NatsCloud(broker.url, "acme", "van-1") as cloud:
                await asyncio.to_thread(agent.start)
                await until(lambda: len(cloud.double.frames) > 3, 20, "frames")
                await asyncio.to_thread(_running, agent, tmp_path)
                assert await asyncio.to_thread(agent.stop) == 0
                await asyncio.to_thread(_stopped, agent, tmp_path)

    asyncio.run(scene())


def _running(agent: AgentProcess, folder: Path) -> None:
    status = agent.command("status", "--json")
    assert json.loads(status.out)["device"] == "van-1"
    assert "acme / van-1" in agent.command("status").out
    values = json.loads(agent.command("live", "--once", "--json").out)
    assert {"engine_rpm", "lat_deg"} <= {value["signal"] for value in values}
    assert "coolant_c" in agent.command("live", "--once", "--signal", "coolant_c").out
    assert json.loads(agent.command("sync", "--json").out)["is_agent_running"] is True
    doctor = agent.command("doctor", "--json")
    assert doctor.code == 0, doctor.out
    assert {finding["link"] for finding in json.loads(doctor.out)} >= {"agent", "broker", "acknowledged frame"}
    dtc = agent.command("dtc")
    assert (dtc.code, "no OBD sensor" in dtc.err) == (69, True)
    target = folder / "copy.jsonl"
    assert "lines recorded" in agent.command("record", "for", str(target), "--seconds", "1").out
    assert agent.command("record", "stop").code == 69
    assert "frames" in agent.command("replay", str(target)).out
    second = agent.command("run")
    assert (second.code, "another agent" in second.err) == (1, True)


def _stopped(agent: AgentProcess, folder: Path) -> None:
    status = agent.command("status")
    assert (status.code, "no agent answers" in status.err) == (69, True)
    sync = agent.command("sync")
    assert (sync.code, "not running" in sync.out) == (0, True)
    doctor = agent.command("doctor")
    assert (doctor.code, "not running" in doctor.out) == (1, True)
    frames = agent.command("replay", str(folder / "copy.jsonl"), "--json").out.splitlines()
    assert json.loads(frames[0])["seq"] == 1
    assert "good" in agent.command("config", "check").out
    assert json.loads(agent.command("config", "check", "--json").out)["tenant"] == "acme"
    agent.config.write_text(agent.config.read_text().replace("size_mb = 1", "size_mb = -1"))
    wrong = agent.command("config", "check")
    assert (wrong.code, "$.outbox.size_mb" in wrong.err) == (78, True)


def test_the_agent_is_small_and_starts_quickly(tmp_path: Path, recording: Path) -> None:
    with NatsPeer(tmp_path / "nats") as broker, AgentProcess(broker.url, recording) as agent:
        agent.start()
        assert agent.process is not None
        process = psutil.Process(agent.process.pid)
        assert process.memory_info().rss < 80 << 20
        assert agent.stop() == 0
