"""What the agent says of itself on the control socket. Plain data: the commands decode it without the agent's code."""

import msgspec

from edge.health import StageHealth
from edge.outbox.streams import Totals
from edge.sensors.base import SensorState
from edge.uplink.policy import TrafficView
from edge.uplink.state import UplinkState
from sync_protocol.messages import AnchorSource


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at one moment. Health counts samples in `sampling` and frames in `outbox` and `uplink`."""

    version: str
    tenant: str
    device: str
    pid: int
    boot_ms: int
    uptime_s: float
    utc_ms: int | None
    utc_source: AnchorSource | None
    is_watched: bool
    vin: str | None
    memory_mb: float
    recording: str | None
    sensors: dict[str, SensorState]
    signals: int
    frames: Totals
    sampling: StageHealth
    outbox: StageHealth
    uplink: StageHealth
    link: UplinkState
    traffic: TrafficView | None = None
    storage_trouble: str | None = None  # why the outbox lies in memory


class LiveValue(msgspec.Struct, frozen=True):
    """The newest sample of a signal."""

    signal: str
    value: float
    unit: str
    age_s: float
    is_stale: bool
