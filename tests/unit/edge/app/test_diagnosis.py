"""What `milepost doctor` finds, for each thing that can be wrong."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.config import DeviceConfig
from edge.diagnosis import Finding, diagnose, reach_tcp
from edge.health import StageHealth
from edge.outbox.streams import Totals
from edge.sensors.base import SensorState
from edge.sensors.gps import GpsConfig
from edge.sensors.obd.config import ObdConfig
from edge.status import AgentStatus
from edge.uplink.config import UplinkConfig
from edge.uplink.policy import Policy, PolicyConfig
from edge.uplink.state import UplinkState
from edge.uplink.traffic import Traffic

CONFIG = DeviceConfig(tenant="acme", device="van-1", obd=ObdConfig(port="socket://127.0.0.1:35000"))
HEALTHY = StageHealth(10, 10, 0, {}, {})
OBD = SensorState("open", "ISO 15765-4", 0, {"adapter": "ELM327", "battery_v": 14.1, "protocol": "CAN", "signals": 30})
GPS = SensorState("open", "3D fix", 0)
LINK = UplinkState("connected", "", 0, 100_000, 0, 0, 10, 0, 1000, 100)
STATUS = AgentStatus(
    version="1", tenant="acme", device="van-1", pid=1, boot_ms=100_000, uptime_s=100, utc_ms=1, utc_source="gps",
    is_watched=False, vin=None, memory_mb=50, recording=None, sensors={"obd": OBD, "gps": GPS}, signals=30,
    frames=Totals(10, 0, 10, 0, 0), sampling=HEALTHY, outbox=HEALTHY, uplink=HEALTHY, link=LINK,
)  # fmt: skip


def found(status: AgentStatus | None, config: DeviceConfig = CONFIG, reason: str | None = None) -> dict[str, Finding]:
    return {finding.link: finding for finding in diagnose(config, status, lambda _host, _port: reason)}


def test_all_is_well() -> None:
    findings = found(STATUS)
    assert {finding.verdict for finding in findings.values()} == {"good"}
    assert list(findings) == [
        "agent", "storage", "adapter", "ignition", "engine computer", "position", "sampling", "outbox", "network",
        "broker", "acknowledged frame",
    ]  # fmt: skip


def test_without_the_agent_the_ends_are_still_tried() -> None:
    findings = found(None)
    assert findings["agent"].verdict == "bad"
    assert findings["network"].verdict == "good"
    missing = found(None, msgspec.structs.replace(CONFIG, obd=ObdConfig(port="/dev/no-such-port")), "refused")
    assert [missing[link].verdict for link in ("adapter", "position", "network")] == ["bad", "bad", "bad"]
    assert all(missing[link].cure for link in ("adapter", "position", "network"))


def test_without_the_agent_the_disk_is_looked_at(tmp_path: Path) -> None:
    def storage(folder: Path) -> str:
        return found(None, msgspec.structs.replace(CONFIG, state_dir=str(folder)))["storage"].verdict

    assert storage(tmp_path) == "good"
    assert storage(tmp_path / "missing") == "bad"


def change(**changes: Any) -> AgentStatus:
    return msgspec.structs.replace(STATUS, **changes)


def with_obd(link: str, **facts: Any) -> AgentStatus:
    return change(sensors={"obd": SensorState(link, "detail", 0, facts), "gps": GPS})


@pytest.mark.parametrize(
    ("status", "link", "verdict"),
    [
        (with_obd("failing"), "adapter", "bad"),
        (with_obd("failing", adapter="ELM327", battery_v=12.4), "engine computer", "bad"),
        (with_obd("opening", adapter="ELM327"), "engine computer", "warning"),
        (with_obd("opening", adapter="ELM327"), "ignition", "warning"),
        (with_obd("closed", adapter="ELM327", battery_v=11.2), "ignition", "warning"),
        (with_obd("closed", adapter="ELM327", battery_v=12.6), "ignition", "good"),
        (with_obd("closed", adapter="ELM327", battery_v=12.6), "engine computer", "warning"),
        (change(sensors={"obd": OBD, "gps": SensorState("failing", "gone", 0)}), "position", "bad"),
        (change(sensors={"obd": OBD, "gps": SensorState("opening", "", 0)}), "position", "warning"),
        (change(sampling=StageHealth(0, 0, 0, {}, {})), "sampling", "warning"),
        (change(sampling=StageHealth(9, 1, 0, {}, {})), "sampling", "bad"),
        (change(outbox=StageHealth(9, 1, 8, {}, {"full": 3})), "outbox", "bad"),
        (change(frames=Totals(10, 0, 5, 0, 5)), "outbox", "warning"),
        (change(frames=Totals(10, 0, 5, 5, 0)), "outbox", "warning"),
        (change(link=msgspec.structs.replace(LINK, link="refused")), "broker", "bad"),
        (change(link=msgspec.structs.replace(LINK, link="connecting")), "broker", "bad"),
        (change(storage_trouble="/state: Read-only file system"), "storage", "bad"),
        (change(frames=Totals(10, 5, 5, 0, 0)), "acknowledged frame", "good"),
        (change(frames=Totals(10, 5, 5, 0, 0), boot_ms=400_000), "acknowledged frame", "bad"),
    ],
)
def test_each_trouble_is_found_where_it_is(status: AgentStatus, link: str, verdict: str) -> None:
    finding = found(status)[link]
    assert finding.verdict == verdict
    if verdict == "bad":
        assert finding.cure


def test_what_is_switched_off_is_skipped() -> None:
    config = msgspec.structs.replace(
        CONFIG, obd=ObdConfig(enabled=False), gps=GpsConfig(enabled=False), uplink=UplinkConfig(enabled=False)
    )
    findings = found(STATUS, config)
    assert [findings[link].verdict for link in ("adapter", "position", "network")] == ["skipped"] * 3


def test_reaching_nobody_gives_the_reason() -> None:
    assert reach_tcp("127.0.0.1", 1) is not None


def test_frames_that_wait_for_the_next_month_are_not_the_clouds_fault() -> None:
    policy = Policy(PolicyConfig(budget_mb_month=10), Traffic(1))
    policy.count("live", up=9_000_000)
    policy.tick(0, None)
    late = change(boot_ms=1_000_000, frames=Totals(10, 7, 3, 0, 0))
    assert found(late)["acknowledged frame"].verdict == "bad"
    finding = found(msgspec.structs.replace(late, traffic=policy.view()))["acknowledged frame"]
    assert (finding.verdict, "7 frames wait" in finding.found) == ("warning", True)
    assert "--lift-budget" in finding.cure
