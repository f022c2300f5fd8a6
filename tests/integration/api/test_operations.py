"""Health, metrics, the web app's place, and how the service starts and ends."""

import asyncio
from collections.abc import Iterator
import os
from pathlib import Path
import re
import time

import httpx
import nats
import pytest

from tests.integration.api.conftest import Service
from tests.support.caller import api_client
from tests.support.cloud_process import CloudProcess, eventually
from tests.support.fleet import FakeDevice
from tests.support.frames import Drive


@pytest.fixture
def process(tmp_path: Path) -> Iterator[CloudProcess]:
    process = CloudProcess(
        tmp_path / "d", MILEPOST__INGEST__COMMIT_WINDOW_S="0.05", MILEPOST__INGEST__ACK_DELAY_S="0.0"
    )
    yield process
    process.kill()


def test_health_and_readiness(service: Service) -> None:
    health = service.http.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "alive")
    ready = service.http.get("/ready").json()
    assert ready["is_ready"]
    assert [check["name"] for check in ready["checks"]] == ["broker", "store", "db", "ingest"]


def test_metrics_count_every_stage_and_add_up(service: Service) -> None:
    text = service.http.get("/metrics").text
    counts = {
        match[1]: float(match[2])
        for match in re.finditer(r'milepost_(\w+?)(?:_total)?\{stage="ingest"\} ([\d.e+]+)', text)
    }
    dropped = sum(float(n) for n in re.findall(r'milepost_dropped_total\{[^}]*stage="ingest"[^}]*\} ([\d.e+]+)', text))
    assert counts["received"] > 180
    assert counts["received"] == counts["sent"] + dropped + counts["queued"]
    assert 'milepost_dropped_total{reason="fork",stage="ingest"} 1.0' in text
    assert 'route="/api/v1/vehicles/{vehicle_id}"' in text or 'route="/health"' in text


def test_every_answer_has_the_security_headers(service: Service) -> None:
    for path in ("/", "/api/v1/vehicles", "/api/v1/nothing", "/health", "/schema/openapi.json"):
        headers = service.http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "server" not in headers


def test_the_log_holds_no_personal_data(service: Service) -> None:
    service.http.get("/api/v1/vehicles", params={"q": "secret-plate"})
    log = service.process.log()
    assert "request_answered" in log
    assert "secret-plate" not in log
    assert "WVWZZZ1JZXW000001" not in log


def test_what_is_committed_survives_sigkill_and_sigterm(process: CloudProcess) -> None:
    drive = Drive(31, epoch_ms=time.time_ns() // 1_000_000 - 600_000)

    async def send(first: int, last: int) -> None:
        client = await nats.connect(process.nats_url)
        try:
            device = await FakeDevice(client, "van-01").listen()
            frames = {seq: drive.frame(seq) for seq in range(first, last + 1)}
            for data in frames.values():
                await device.send(data)
            await device.until_acked(drive.stream_id, frames)
        finally:
            await client.close()

    process.start()
    asyncio.run(send(1, 10))
    process.kill()
    process.start()
    asyncio.run(send(5, 20))
    assert process.stop() == 0
    process.start()
    with api_client(process.url) as http:
        stream = http.get("/api/v1/devices/van-01/ledger").json()["streams"][0]
        assert stream["stored"] == [[1, 20]]
        vehicle = http.get("/api/v1/vehicles").json()["items"][0]
        assert vehicle["position"] is not None
        summary = http.get("/api/v1/summary").json()
        assert (summary["frames"]["stored"], summary["doubled"]) == (20, 0)
    assert process.command("verify").exit_code == 0


def test_a_broker_that_dies_comes_back_on_its_port(process: CloudProcess) -> None:
    process.start()
    url = process.nats_url
    pid = int(next(process.data_dir.glob("nats/nats-server_*.ports")).stem.rpartition("_")[2])
    os.kill(pid, 9)
    drive = Drive(32, epoch_ms=time.time_ns() // 1_000_000 - 60_000)

    async def send() -> None:
        client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        try:
            device = await FakeDevice(client, "van-01").listen()
            await device.until_acked(drive.stream_id, {1: drive.frame(1)})
        finally:
            await client.close()

    def is_back() -> bool:
        with httpx.Client(base_url=process.url) as http:
            return http.get("/ready").json()["is_ready"] and "broker_restart" in http.get("/metrics").text

    eventually(is_back, "the broker is back")
    asyncio.run(send())


def test_two_services_do_not_share_a_directory(process: CloudProcess) -> None:
    process.start()
    second = process.command("serve", "--port", "0")
    assert second.exit_code == 69
    assert "another milepost-cloud works here" in second.stderr


def test_a_taken_port_is_told(process: CloudProcess, service: Service) -> None:
    port = service.process.url.rpartition(":")[2]
    taken = process.command("serve", "--port", port)
    assert taken.exit_code == 69
    assert "$.listen.port chooses another" in taken.stderr


def test_listening_beyond_this_machine_is_refused(tmp_path: Path) -> None:
    process = CloudProcess(tmp_path / "d", MILEPOST__LISTEN__HOST="0.0.0.0")
    refused = process.command("serve")
    assert refused.exit_code == 78
    assert "a demo has no log-in and serves this machine only" in refused.stderr


def test_without_identity_only_a_demo_is_served(tmp_path: Path) -> None:
    refused = CloudProcess(tmp_path / "d", MILEPOST__DEMO="false").command("serve")
    assert refused.exit_code == 78
    assert "`milepost-cloud init`" in refused.stderr
    assert "`milepost-cloud serve --demo`" in refused.stderr
