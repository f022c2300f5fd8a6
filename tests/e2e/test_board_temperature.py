"""The temperature of the device's board, from the kernel's file through agent, broker and store to the API."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.caller import api_client
from tests.support.cloud_process import PROMPT, CloudProcess, eventually
from tests.support.fleet_processes import Agent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_it_arrives(tmp_path: Path) -> None:
    zone = tmp_path / "temp"
    zone.write_text("48312\n")
    nothing_else = "[obd]\nenabled = false\n[gps]\nenabled = false\n"
    cloud = CloudProcess(tmp_path / "cloud", **PROMPT).start()
    agent = Agent(tmp_path / "van", "van-1", f'{nothing_else}[board]\npath = "{zone}"\n', cloud.nats_url)
    try:
        agent.start()
        with api_client(cloud.url) as http:
            (value,) = eventually(lambda: _values(http), "the temperature in the cloud")
        assert (value["signal"], value["value"], value["unit"]) == ("board_c", 48.0, "celsius")
        assert not value["is_stale"]
    finally:
        agent.stop()
        cloud.kill()


def _values(http: httpx.Client) -> list[dict[str, Any]]:
    """The newest values of the one vehicle there is, none while it is not there."""
    for vehicle in http.get("/api/v1/vehicles").json()["items"]:
        found: list[dict[str, Any]] = http.get(f"/api/v1/vehicles/{vehicle['id']}/state").json()["values"]
        return found
    return []
