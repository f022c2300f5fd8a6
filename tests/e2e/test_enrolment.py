"""From an empty folder to data in the API, over TLS alone: init, serve, claim, enroll, run; then locked out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
import json
from pathlib import Path
import stat
import time

import httpx
import pytest

from tests.support.agent_process import AgentProcess, write_recording
from tests.support.cloud_process import eventually
from tests.support.deployment import Deployment


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path / "cloud", "acme", "other")
    made.process.start()
    yield made
    assert made.process.stop() == 0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    recording = tmp_path / "drive.jsonl.gz"
    write_recording(recording, 600, utc_ms=time.time_ns() // 1_000_000)
    with AgentProcess(None, recording) as made:
        yield made


def obeys_signed_commands(http: httpx.Client, vehicle_id: int) -> None:
    """A pull is a command: the device tells how it ended only if the signature holds."""
    now = datetime.now(UTC)
    asked = {"from": (now - timedelta(minutes=5)).isoformat(), "to": now.isoformat()}
    pull = http.post(f"/api/v1/vehicles/{vehicle_id}/pulls", json=asked).json()
    path = f"/api/v1/vehicles/{vehicle_id}/pulls/{pull['id']}"
    eventually(lambda: http.get(path).json()["state"] == "done", "the end of the pull", 60)


def test_a_device_comes_in_and_is_locked_out(deployment: Deployment, agent: AgentProcess) -> None:
    refused = agent.command("run")
    assert (refused.code, "not enrolled" in refused.err) == (78, True)
    claim = deployment.claims("acme")[0]

    enrolled = agent.command("enroll", claim["payload"], "--name", "Van 01", "--json")
    assert enrolled.code == 0, enrolled.err
    assert json.loads(enrolled.out) == {"tenant": "acme", "device": "van-01", "sealed": [], "is_running": False}
    file = agent.folder / "state" / "identity.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not (agent.folder / "state" / "enrolment.json").exists()
    assert claim["code"] not in deployment.process.log()
    assert json.loads(file.read_bytes())["seed"] not in deployment.process.log()

    agent.start()
    with deployment.client("acme") as http, deployment.client("other") as other:
        vehicle = eventually(lambda: http.get("/api/v1/vehicles").json()["items"], "the vehicle")[0]
        assert vehicle["device_id"] == "van-01"
        eventually(lambda: http.get("/api/v1/summary").json()["frames"]["stored"], "frames in the store")
        identity = eventually(
            lambda: (found := http.get("/api/v1/devices/van-01/identity").json())["is_connected"] and found, "its link"
        )
        assert not identity["is_cloned"]
        obeys_signed_commands(http, vehicle["id"])
        assert other.get("/api/v1/devices").json()["items"] == []
        assert other.get("/api/v1/devices/van-01/identity").status_code == 404
        assert other.post("/api/v1/devices/van-01/revoke").status_code == 404

        revoked = http.post("/api/v1/devices/van-01/revoke")
        assert revoked.status_code == 200, revoked.text
        eventually(lambda: agent.ask("status")["link"]["link"] == "refused", "the device that is locked out")
        eventually(lambda: not http.get("/api/v1/devices/van-01/identity").json()["is_connected"], "no connection")

    again = agent.command("enroll", claim["payload"])
    assert again.code == 1
    assert "This claim code is not good" in again.err
