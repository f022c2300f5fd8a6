"""Configuration of the cloud service: `milepost-cloud.toml` and `MILEPOST__SECTION__KEY`."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class NatsConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The broker. With `url` an external one is used; without, nats-server runs as a child of this process."""

    url: str | None = None
    host: str = "127.0.0.1"
    port: Port = 4222
    """0: a free one, told in `<data_dir>/nats/url` and kept while the service runs."""
    stream_bytes: Count = 4 * 1024**3
    """What FRAMES may hold while ingest stands still; lowered to leave `disk_reserve_bytes` free when it is made."""
    disk_reserve_bytes: int = 1024**3
    user: str | None = None
    password_file: Path | None = None


class LimitsConfig(msgspec.Struct, forbid_unknown_fields=True):
    """Bounds for each device; frames beyond them wait unacknowledged and an alert row opens."""

    frames_per_s: Positive = 50.0
    frames_burst: Count = 520_000
    """60 days of 10 s frames, more than the default outbox holds: whoever was offline is never turned away. Who
    floods gets a minute and a half of the service at its fastest, then `frames_per_s`; all of it again in 3 hours."""
    new_streams_a_day: Count = 20
    open_ranges: Count = 1_000


class IngestConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The two windows of ingest, and when devices are acknowledged."""

    fetch_window_s: Positive = 0.02
    commit_window_s: Positive = 0.5
    commit_frames: Count = 2_000
    ack_frames: Count = 6
    """A device is acknowledged at once when so many of its frames are committed together or ten times as many wait,"""
    ack_delay_s: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    """or the oldest of them has waited so long, or the device asks with a hello. Devices ask after 75 s."""
    place_every_s: Positive = 60.0
    """How often boots that nobody gave a time are looked for, to be placed between their neighbours."""
    limits: LimitsConfig = msgspec.field(default_factory=LimitsConfig)


class TelemetryConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The embedded telemetry store (DuckDB)."""

    threads: Count = 1
    """DuckDB threads beside the callers'; more than one doubles the cost of appends (`tests/bench/ingest.py`)."""
    memory_limit: str = "2GB"
    checkpoint_bytes: Count = 256 * 1024**2
    readers: Count = 2


class DeriveConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The derive engine."""

    gap_patience_s: Positive = 72 * 3600.0
    interval_s: Positive = 1.0


class RegistryConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The tenant of the demo, whose devices are registered on sight."""

    tenant: str = "demo"


class EnrolmentConfig(msgspec.Struct, forbid_unknown_fields=True):
    """What a device is told when it comes in. Without URLs: the first host of the identity, and the ports in use."""

    api_url: str | None = None
    """Where devices and people reach the API from outside, such as https://fleet.example.com."""
    nats_urls: list[str] = msgspec.field(default_factory=list)
    """Where devices reach the broker from outside, such as tls://fleet.example.com:4222."""
    token_days: Annotated[int, msgspec.Meta(ge=1, le=30)] = 14
    """A device asks for a new token when half of the time is over; one that was away longer asks when it is back."""


class DatabaseConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The relational database. Without `url`: SQLite in the data directory."""

    url: str | None = None
    """Such as postgresql://milepost@db.example/milepost (docs/ops/postgres.md); without a password in it."""
    password_file: Path | None = None


class ListenConfig(msgspec.Struct, forbid_unknown_fields=True):
    """Where the HTTP API listens."""

    host: str = "127.0.0.1"
    port: Port = 8080
    tls: bool = True
    """With the certificate of the identity. False: for a proxy on this machine that has one of its own."""
    proxies: list[str] = msgspec.field(default_factory=list)
    """Addresses of proxies in front, whose X-Forwarded-For tells who calls; of others it is not believed."""
    requests_per_s: Positive = 100.0
    """Of one person, key or, without a log-in, address; beyond `requests_burst` more the answer is 429."""
    requests_burst: Count = 1_000


class MailConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The server that takes mail to people: invitations, new passwords. Without `host` no mail is sent."""

    host: str | None = None
    port: Port = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """`none` only for a server on this machine or behind a tunnel of its own."""
    user: str | None = None
    password_file: Path | None = None
    sender: str = "milepost@localhost"


class CloudConfig(msgspec.Struct, forbid_unknown_fields=True):
    """Everything the cloud service can be told."""

    demo: bool = False
    """Open to everybody on this machine: no log-in, devices are registered on sight, loopback only."""
    data_dir: Path = Path("milepost-data")
    listen: ListenConfig = msgspec.field(default_factory=ListenConfig)
    nats: NatsConfig = msgspec.field(default_factory=NatsConfig)
    database: DatabaseConfig = msgspec.field(default_factory=DatabaseConfig)
    enrolment: EnrolmentConfig = msgspec.field(default_factory=EnrolmentConfig)
    mail: MailConfig = msgspec.field(default_factory=MailConfig)
    registry: RegistryConfig = msgspec.field(default_factory=RegistryConfig)
    ingest: IngestConfig = msgspec.field(default_factory=IngestConfig)
    telemetry: TelemetryConfig = msgspec.field(default_factory=TelemetryConfig)
    derive: DeriveConfig = msgspec.field(default_factory=DeriveConfig)
