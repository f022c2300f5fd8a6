"""What the agent says of itself on the control socket. Plain data: the commands decode it without the agent's code."""

import msgspec

from edge.health import StageHealth
from edge.outbox.outbox import Totals
from edge.sampling.sampler import Sampler
from edge.sensors.base import SensorState
from edge.uplink.uplink import UplinkState
from sync_protocol.messages import AnchorSource
from sync_protocol.signals import catalogue


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


class LiveValue(msgspec.Struct, frozen=True):
    """The newest sample of a signal."""

    signal: str
    value: float
    unit: str
    age_s: float
    is_stale: bool


def live_values(sampler: Sampler, boot_ms: int) -> list[LiveValue]:
    """The newest sample of every signal that has come, in the catalogue's order."""
    by_id = catalogue().by_id
    return [
        LiveValue(
            by_id[signal_id].name,
            by_id[signal_id].value(raw),
            by_id[signal_id].unit,
            max(0, boot_ms - at_ms) / 1000,
            sampler.is_stale(signal_id),
        )
        for signal_id, (at_ms, raw) in sorted(sampler.latest.items())
    ]
