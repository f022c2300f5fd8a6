"""What may be sent now, and how: by the network that leads to the broker and by the SIM's budget.

Nothing is ever lost by a budget: what may not be sent waits in the outbox, whose own rules hold.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
import socket
from typing import Annotated, Any, Literal

import msgspec
import structlog

from edge.uplink.network import interface_to, is_metered
from edge.uplink.tcp_info import WireBytes, wire_bytes
from edge.uplink.traffic import Bytes, Kind, Traffic

Mode = Literal["normal", "metered"]
Stage = Literal["all", "tight", "events_only"]
"""tight: the forecast is over the budget. events_only: what is left is for frames with events."""

MB = 1_000_000
_LOOK_EVERY_MS = 30_000
_TIGHT_BUNDLE_FACTOR = 5
_LONGEST_BUNDLE_S = 900.0

log = structlog.get_logger()


class PolicyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[uplink.policy]`: what a SIM pays for. MB are millions of bytes of IP packets, both ways."""

    mode: Literal["auto", "normal", "metered"] = "auto"  # auto: metered on modems and tethered telephones
    metered_interfaces: tuple[str, ...] = ()  # names that the system does not know to cost money
    unmetered_interfaces: tuple[str, ...] = ()
    bundle_s: Annotated[float, msgspec.Meta(ge=0, le=900)] = 60.0  # metered: frames wait so long for each other
    budget_mb_month: Annotated[float, msgspec.Meta(gt=0)] | None = None  # None: no budget
    budget_day: Annotated[int, msgspec.Meta(ge=1, le=28)] = 1  # the day on which the SIM's month begins, UTC
    reserve_mb: Annotated[float, msgspec.Meta(ge=0)] = 5.0  # of the budget, for frames with events

    def __post_init__(self) -> None:
        if self.budget_mb_month is not None and self.reserve_mb >= self.budget_mb_month:
            raise ValueError("reserve_mb: expected less than budget_mb_month")


class TrafficView(msgspec.Struct, frozen=True, kw_only=True):
    """What `milepost sync` shows. Bytes by kind; `forecast_bytes` None: not enough seen, or no clock."""

    mode: Mode
    interface: str | None
    why: str
    stage: Stage
    bundle_s: float
    is_measured: bool
    connection: dict[str, Bytes]
    today: dict[str, Bytes]
    month: dict[str, Bytes]
    month_began: str | None
    used_bytes: int
    forecast_bytes: int | None
    budget_bytes: int | None
    reserve_bytes: int
    is_lifted: bool


class Policy:
    """Asked by the uplink before it sends, told by it what it sent. `on_event` gets (kind, data) once a month."""

    def __init__(
        self,
        config: PolicyConfig,
        traffic: Traffic,
        *,
        on_event: Callable[[str, dict[str, Any]], None] = lambda _kind, _data: None,
        root: Path = Path("/"),
    ) -> None:
        self._config = config
        self._traffic = traffic
        self._on_event = on_event
        self._root = root
        self._channel: socket.socket | None = None
        self._looked_ms: int | None = None
        self._wire: WireBytes | None = None
        self._interface: str | None = None
        self.mode: Mode = "normal"
        self._why = ""
        self._stage: Stage = "all"
        self._choose()

    def connected(self, channel: socket.socket | None, now_ms: int) -> None:
        """A new connection over this socket; None where there is none to look at."""
        self._channel = channel
        self._wire = None
        self._traffic.connected()
        self._look(now_ms)

    def count(self, kind: Kind, up: int = 0, down: int = 0) -> None:
        """Bytes of payload that were sent or received."""
        self._traffic.count(kind, up, down)

    def tick(self, now_ms: int, utc_ms: int | None) -> None:
        """Read the socket, and the route now and then. `utc_ms` None while the device is not sure of it."""
        if self._channel is not None and self._channel.fileno() >= 0:
            self._wire = wire_bytes(self._channel)
            self._traffic.measured(self._wire)
        if utc_ms is not None and self._traffic.now(utc_ms):
            log.info("budget_month_began", budget_mb=self._config.budget_mb_month)
        self._weigh()
        if self._looked_ms is None or now_ms - self._looked_ms >= _LOOK_EVERY_MS:
            self._look(now_ms)

    def _look(self, now_ms: int) -> None:
        self._looked_ms = now_ms
        if self._channel is None or self._channel.fileno() < 0:
            return
        try:
            peer = str(self._channel.getpeername()[0])
        except OSError:
            return
        self._interface = interface_to(peer, self._root)
        self._choose()

    def _choose(self) -> None:
        config, name = self._config, self._interface
        before = self.mode
        if config.mode != "auto":
            self.mode, self._why = config.mode, "so configured"
        elif name is None:
            self.mode, self._why = "normal", "the way to the broker is not known"
        elif name in config.metered_interfaces or name in config.unmetered_interfaces:
            self.mode = "metered" if name in config.metered_interfaces else "normal"
            self._why = f"{name}: so configured"
        elif is_metered(name, self._root):
            self.mode, self._why = "metered", f"{name} is a modem or a tethered telephone"
        else:
            self.mode, self._why = "normal", f"{name} costs nothing as far as the system tells"
        if self.mode != before:
            log.info("uplink_mode_changed", mode=self.mode, interface=name, reason=self._why)

    def _weigh(self) -> None:
        """The stage by what is used and what the month will come to; told once a month."""
        before, self._stage = self._stage, self._stage_now()
        if self._stage == before:
            return
        log.info("budget_stage_changed", stage=self._stage, used_mb=round(self._traffic.used_bytes() / MB, 3))
        kind = {"tight": "budget_forecast_exceeded", "events_only": "budget_reached"}.get(self._stage)
        if kind is not None and self._traffic.tell_once(kind):
            forecast = self._traffic.forecast_bytes()
            data = {"used_mb": self._traffic.used_bytes() / MB, "budget_mb": self._config.budget_mb_month}
            self._on_event(kind, data | {"forecast_mb": None if forecast is None else forecast / MB})

    def _stage_now(self) -> Stage:
        budget_mb = self._config.budget_mb_month
        if budget_mb is None or self._traffic.is_lifted:
            return "all"
        if self._traffic.used_bytes() >= (budget_mb - self._config.reserve_mb) * MB:
            return "events_only"
        forecast = self._traffic.forecast_bytes()
        return "tight" if forecast is not None and forecast > budget_mb * MB else "all"

    @property
    def stage(self) -> Stage:
        """How much of the budget is left, in three words."""
        return self._stage

    @property
    def may_send_all(self) -> bool:
        """Whether frames without events may be sent; those with events, hellos and pulled frames always are."""
        return self._stage != "events_only"

    @property
    def may_watch(self) -> bool:
        """Whether the budget bears a frame a second."""
        return self._stage == "all"

    @property
    def bundle_s(self) -> float:
        """How long frames may wait for each other; 0: send each at once."""
        if self._stage == "all":
            return self._config.bundle_s if self.mode == "metered" else 0.0
        return min(max(self._config.bundle_s, 60.0) * _TIGHT_BUNDLE_FACTOR, _LONGEST_BUNDLE_S)

    def lift(self) -> None:
        """A person has lifted the budget for the rest of this month."""
        self._traffic.lift()
        self._weigh()

    def to_keep(self) -> str:
        """The counts, for the next commit."""
        return self._traffic.to_keep()

    def view(self) -> TrafficView:
        """Everything, to be shown."""
        traffic, budget_mb = self._traffic, self._config.budget_mb_month
        began = traffic.month_began()
        return TrafficView(
            mode=self.mode,
            interface=self._interface,
            why=self._why,
            stage=self._stage,
            bundle_s=self.bundle_s,
            is_measured=self._wire is not None,
            connection=_copy(traffic.connection),
            today=_copy(traffic.today),
            month=_copy(traffic.month),
            month_began=None if began is None else began.date().isoformat(),
            used_bytes=traffic.used_bytes(),
            forecast_bytes=traffic.forecast_bytes(),
            budget_bytes=None if budget_mb is None else round(budget_mb * MB),
            reserve_bytes=round(self._config.reserve_mb * MB),
            is_lifted=traffic.is_lifted,
        )


def _copy(counts: Mapping[str, Bytes]) -> dict[str, Bytes]:
    return {kind: Bytes(b.up, b.down) for kind, b in counts.items()}
