"""The device's configuration: `/etc/milepost/device.toml` and `MILEPOST__SECTION__KEY`. One section a stage."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge.sampling.config import SamplingConfig
from edge.sensors.board import BoardConfig
from edge.sensors.gps import GpsConfig
from edge.sensors.obd.config import ObdConfig
from edge.sensors.replay import ReplayConfig
from edge.uplink.config import UplinkConfig
from sync_protocol.errors import Invalid
from sync_protocol.subjects import checked_id

DEFAULT_PATH = Path("/etc/milepost/device.toml")


class OutboxConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[outbox]`: a month of driving fits into the default size."""

    size_mb: Annotated[float, msgspec.Meta(ge=0.25, le=16_384)] = 64.0
    ballast_kb: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 2048


class LogConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[log]`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"  # auto: for people on a terminal, JSON elsewhere


class DeviceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything. Sensors that are not there are switched off by `enabled = false` in their section."""

    tenant: str = ""  # both come with `milepost enroll`; set here only for a demo's device, which nobody enrolls
    device: str = ""
    state_dir: str = "/var/lib/milepost"
    memory_dir: str = "/run/milepost"  # instead of state_dir while that cannot be used; must be in memory, not on disk
    socket: str | None = None  # control socket; None: agent.sock in state_dir
    obd: ObdConfig = ObdConfig()
    gps: GpsConfig = GpsConfig()
    board: BoardConfig = BoardConfig()
    replay: ReplayConfig | None = None  # a recording instead of the sensors
    sampling: SamplingConfig = SamplingConfig()
    outbox: OutboxConfig = OutboxConfig()
    uplink: UplinkConfig = UplinkConfig()
    log: LogConfig = LogConfig()

    def __post_init__(self) -> None:
        if self.tenant or self.device:  # both or neither
            for what in ("tenant", "device"):
                _check(getattr(self, what), what)

    @property
    def socket_path(self) -> Path:
        """Where the running agent is spoken to. Without a usable state_dir it listens in memory_dir."""
        in_memory = self.memory_socket_path
        return in_memory if self.socket is None and in_memory.exists() else self.disk_socket_path

    @property
    def disk_socket_path(self) -> Path:
        """The control socket of an agent whose state_dir can be used."""
        return Path(self.socket) if self.socket else Path(self.state_dir) / "agent.sock"

    @property
    def memory_socket_path(self) -> Path:
        """The control socket of an agent whose state_dir cannot be used."""
        return Path(self.memory_dir) / f"agent.{self.tenant}.{self.device}.sock"


def _check(value: str, what: str) -> None:
    """As `subjects.checked_id`, in the form that msgspec turns into a configuration error."""
    try:
        checked_id(value, what)
    except Invalid as err:
        raise ValueError(str(err)) from err
