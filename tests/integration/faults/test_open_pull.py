"""A pull that is open when the cloud is killed is known to the next one, which asks the device again."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
import socket
from typing import Any

import nats

from sync_protocol.messages import Command
from tests.support.caller import api_client
from tests.support.cloud_process import PROMPT, CloudProcess
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def pulls(cloud: CloudProcess, *, ask: bool = False) -> list[dict[str, Any]]:
    """As a person: what was asked of the vehicle; first ask for its last hour."""
    now = datetime.now(UTC)
    with api_client(cloud.url) as http:
        path = f"/api/v1/vehicles/{http.get('/api/v1/vehicles').json()['items'][0]['id']}/pulls"
        if ask:
            wanted = {"from": (now - timedelta(hours=1)).isoformat(), "to": now.isoformat()}
            assert http.post(path, json=wanted).status_code == 202
        found: list[dict[str, Any]] = http.get(path).json()["items"]
        return found


def test_an_open_pull_outlives_a_killed_cloud(tmp_path: Path) -> None:
    cloud = CloudProcess(tmp_path / "cloud", **PROMPT, MILEPOST__NATS__PORT=free_port()).start()
    frame = Drive(1, rows=2)

    async def scene() -> None:
        client = await nats.connect(cloud.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
        device = await FakeDevice(client, "van-1").listen()
        await device.send(frame.frame(1))
        await device.until_acked(frame.stream_id, {1: frame.frame(1)})
        asked = await asyncio.to_thread(pulls, cloud, ask=True)
        await device.until(lambda: len(device.commands) == 1)
        await asyncio.to_thread(cloud.kill)
        await asyncio.to_thread(cloud.start)
        assert await asyncio.to_thread(pulls, cloud) == asked
        await device.until(lambda: len(device.commands) >= 2, 45)
        await client.close()
        first, again = device.commands[:2]
        assert isinstance(first, Command)
        assert (first.number, asked[0]["state"]) == (asked[0]["id"], "requested")
        assert again == first, "the same command under its number: the device does it once"

    try:
        asyncio.run(scene())
    finally:
        cloud.kill()
