"""The SIM's budget is used up and ordinary frames wait: a manager pulls a range, and exactly that arrives."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
import time
from typing import Any

import httpx
import pytest

from tests.support.agent_process import AgentProcess, write_recording
from tests.support.caller import api_client
from tests.support.cloud_process import PROMPT, CloudProcess, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
RANGE_MS = 4_000
PERIOD_MS = 200
LONGEST_FRAME_MS = 1_000


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudProcess]:
    process = CloudProcess(tmp_path / "cloud", **PROMPT, MILEPOST__REGISTRY__TENANT="acme").start()
    yield process
    process.kill()


@pytest.fixture
def agent(tmp_path: Path, cloud: CloudProcess) -> Iterator[AgentProcess]:
    recording = tmp_path / "drive.jsonl"
    with AgentProcess(
        cloud.nats_url, recording, extra="[uplink.policy]\nbudget_mb_month = 0.02\nreserve_mb = 0.0199\n"
    ) as process:
        write_recording(recording, 300, rows_a_second=10, utc_ms=time.time_ns() // 1_000_000)
        process.start()
        yield process


def iso(ts_ms: int) -> str:
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat()


def sampled_ms(http: httpx.Client, vehicle_id: int, from_ms: int, to_ms: int) -> list[int]:
    """When the samples were measured that the API shows of a range."""
    asked: dict[str, Any] = {"signals": "engine_rpm", "from": iso(from_ms), "to": iso(to_ms), "points": 2000}
    answer = http.get(f"/api/v1/vehicles/{vehicle_id}/history", params=asked)
    assert answer.status_code == 200, answer.text
    return [at for series in answer.json()["series"] for at in series["ts_ms"]]


def payload_bytes(agent: AgentProcess) -> dict[str, int]:
    """What the device has sent, by kind."""
    return {kind: bytes_[0] for kind, bytes_ in agent.ask("traffic")["month"].items() if kind != "overhead"}


def test_a_pulled_range_arrives_and_nothing_else_does(cloud: CloudProcess, agent: AgentProcess) -> None:
    with api_client(cloud.url) as http:
        found = eventually(lambda: http.get("/api/v1/vehicles").json()["items"], "the vehicle")
        vehicle = found[0]["id"]
        eventually(lambda: agent.ask("status")["frames"]["pending"] >= 75, "frames that wait a while", 60)
        assert agent.ask("traffic")["stage"] == "events_only"
        to_ms = agent.ask("status")["utc_ms"] - 4_000
        from_ms = to_ms - RANGE_MS
        assert sampled_ms(http, vehicle, from_ms, to_ms) == []

        asked = http.post(f"/api/v1/vehicles/{vehicle}/pulls", json={"from": iso(from_ms), "to": iso(to_ms)})
        assert asked.status_code == 202, asked.text
        path = f"/api/v1/vehicles/{vehicle}/pulls/{asked.json()['id']}"
        done = eventually(lambda: (p := http.get(path).json())["state"] == "done" and p, "the end of the pull")
        assert 1 <= done["frames"] <= RANGE_MS // PERIOD_MS + 2, "fewer where a busy machine closed them late"
        assert (done["is_cut"], done["missing"]) == (False, [])

        there = sampled_ms(http, vehicle, from_ms - 2_000, to_ms + 2_500)
        inside = [at for at in there if from_ms <= at < to_ms]
        assert len(inside) >= RANGE_MS // 100 - 1
        assert there[0] >= from_ms - LONGEST_FRAME_MS, "nobody asked for more"
        assert there[-1] <= to_ms + LONGEST_FRAME_MS
        assert agent.ask("status")["frames"]["pending"] >= 25
        up = payload_bytes(agent)
        assert done["size_bytes"] / 20 < up["pulled"] < done["size_bytes"], "a drive as even as this packs to a tenth"
        eventually(
            lambda: sum(payload_bytes(agent).values()) == agent.ask("status")["link"]["bytes_sent"],
            "a moment without sending, in which the kinds add up to what went out",
        )

        assert http.delete(path).status_code == 409
        agent.command("sync", "--lift-budget")
        eventually(lambda: agent.ask("status")["frames"]["pending"] <= 2, "the others, once the budget is lifted", 60)


def test_what_is_wrong_with_a_request_for_a_pull(cloud: CloudProcess, agent: AgentProcess) -> None:
    with api_client(cloud.url) as http:
        vehicle = eventually(lambda: http.get("/api/v1/vehicles").json()["items"], "the vehicle")[0]["id"]
        path = f"/api/v1/vehicles/{vehicle}/pulls"
        now_ms = time.time_ns() // 1_000_000
        for body in (
            {"from": iso(now_ms), "to": iso(now_ms - 1)},
            {"from": iso(now_ms - 40 * 86_400_000), "to": iso(now_ms)},
            {"from": "yesterday", "to": iso(now_ms)},
            {"from": iso(now_ms - 1000), "to": iso(now_ms), "most_mb": 51},
            {"from": iso(now_ms - 1000)},
        ):
            assert http.post(path, json=body).status_code == 400, body
        wanted = {"from": iso(now_ms - 1000), "to": iso(now_ms)}
        assert http.post("/api/v1/vehicles/999/pulls", json=wanted).status_code == 404
        assert http.get(f"{path}/1").status_code == 404

        agent.stop()
        waiting = http.post(path, json=wanted).json()
        assert waiting["state"] == "requested", "it is offline and hears it when it is back"
        assert http.get(path).json()["items"][0]["id"] == waiting["id"]
        assert http.delete(f"{path}/{waiting['id']}").json()["state"] == "cancelled"
