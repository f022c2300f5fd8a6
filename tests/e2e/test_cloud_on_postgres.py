"""The whole service with its relational side on a real PostgreSQL: from enrolment to what derive makes of the data."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
import time
from typing import Any

import nats
import pytest
from sqlalchemy import create_engine, text

from cloud.cli import UNAVAILABLE
from sync_protocol.messages import Event
from tests.support.agent_process import AgentProcess, write_recording
from tests.support.caller import api_client
from tests.support.cloud_process import PROMPT, CloudProcess, eventually
from tests.support.deployment import Deployment
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive
from tests.support.postgres_peer import PostgresPeer

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def url(postgres: PostgresPeer) -> Iterator[str]:
    made = postgres.empty_database()
    yield made
    postgres.drop(made)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    recording = tmp_path / "drive.jsonl.gz"
    write_recording(recording, 600, utc_ms=time.time_ns() // 1_000_000)
    with AgentProcess(None, recording) as made:
        yield made


def test_a_deployment_enrols_stores_and_derives(tmp_path: Path, url: str, agent: AgentProcess) -> None:
    deployment = Deployment(tmp_path / "cloud", "acme", "other", MILEPOST__DATABASE__URL=url)
    cloud = deployment.process.start()
    claim = deployment.claims("acme")[0]
    enrolled = agent.command("enroll", claim["payload"], "--name", "Van 01", "--json")
    assert enrolled.code == 0, enrolled.err
    agent.start()
    with deployment.client("acme") as http, deployment.client("other") as other:
        vehicle = eventually(lambda: http.get("/api/v1/vehicles").json()["items"], "the vehicle")[0]
        path = f"/api/v1/vehicles/{vehicle['id']}"
        eventually(lambda: http.get(f"{path}/states").json()["items"], "what derive makes of it", 60)
        assert http.patch(path, json={"plate": "AB 123"}).status_code == 200
        assert http.get("/api/v1/vehicles", params={"q": "ab 1"}).json()["items"][0]["plate"] == "AB 123"
        assert http.patch(path, json={"plate": "zero\0byte"}).status_code == 400
        assert other.get(path).status_code == 404
        assert other.get("/api/v1/vehicles").json()["items"] == []
    cloud.kill()
    cloud.start()
    with deployment.client("acme") as http:
        assert http.get(path).json()["plate"] == "AB 123"
    agent.stop()
    assert cloud.stop() == 0
    assert not (tmp_path / "cloud" / "fleet.db").exists()
    stranger = create_engine(url)
    with stranger.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM vehicles")) == 0, "nobody has said who asks"
    stranger.dispose()


def test_a_server_that_goes_away_costs_nothing(tmp_path: Path, url: str, postgres: PostgresPeer) -> None:
    """The service ends when it cannot write and is started again: each output is there once."""
    cloud = CloudProcess(tmp_path / "cloud", **PROMPT, MILEPOST__DATABASE__URL=url).start()
    drive = Drive(1, epoch_ms=time.time_ns() // 1_000_000 - 400_000)
    first = {seq: drive.frame(seq, _events(drive, seq)) for seq in range(1, 11)}
    asyncio.run(_send(cloud.nats_url, drive.stream_id, first))
    eventually(lambda: _faults(cloud), "the fault", 30)
    postgres.halt()
    later = {seq: drive.frame(seq, _events(drive, seq)) for seq in range(11, 31)}
    # Stored and acknowledged by the telemetry store; what derive makes of it has to wait.
    asyncio.run(_send(cloud.nats_url, drive.stream_id, later))
    assert cloud.wait(60) == UNAVAILABLE
    assert "the relational database does not answer" in cloud.log()
    cloud.launch()
    assert cloud.wait(60) == UNAVAILABLE, "without its database it does not start"
    postgres.launch()
    cloud.start()
    faults = eventually(lambda: len(found := _faults(cloud)) == 2 and found, "both faults", 30)
    assert {fault["code"]: fault["cleared_at"] is not None for fault in faults} == {"P0301": True, "P0420": False}
    assert cloud.stop() == 0


def _events(drive: Drive, seq: int) -> list[Event]:
    at = drive.first_ms(seq)
    match seq:
        case 2:
            return [Event(at, "dtc_set", {"code": "P0301", "status": "stored"})]
        case 15:
            return [Event(at, "dtc_set", {"code": "P0420", "status": "stored"})]
        case 20:
            return [Event(at, "dtc_cleared", {"code": "P0301", "status": "stored"})]
    return []


def _faults(cloud: CloudProcess) -> list[dict[str, Any]]:
    with api_client(cloud.url) as http:
        vehicles = http.get("/api/v1/vehicles").json()["items"]
        if not vehicles:
            return []
        found: list[dict[str, Any]] = http.get(f"/api/v1/vehicles/{vehicles[0]['id']}/faults").json()["items"]
        return found


async def _send(url: str, stream_id: bytes, frames: dict[int, bytes]) -> None:
    client = await nats.connect(url)
    try:
        device = await FakeDevice(client, "van-01").listen()
        for data in frames.values():
            await device.send(data)
        await device.until_acked(stream_id, frames)
    finally:
        await client.close()
