"""Section `[uplink]` of the device's configuration."""

from typing import Annotated

import msgspec

from edge.uplink.policy import PolicyConfig

Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class UplinkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the broker is, and how patient the uplink is with it."""

    enabled: bool = True
    url: str = "nats://127.0.0.1:4222"
    ca_file: str | None = None  # for tls:// with a private authority
    user: str | None = None
    password_file: str | None = None
    window_frames: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 1024  # not acknowledged; a sixteenth is for new frames
    ack_timeout_s: Seconds = 90.0  # then the frame is sent again; doubles up to
    ack_timeout_max_s: Seconds = 600.0
    hello_after_s: Seconds = 75.0  # the oldest frame on the way is that old: ask the cloud what it has
    unacked_s: Seconds = 30.0  # TCP has no sign of the broker for so long after a send: the link is lost
    hello_wait_s: Seconds = 5.0  # frames wait that long for the answer to the first hello of a connection
    connect_timeout_s: Seconds = 10.0
    retry_s: Seconds = 1.0  # first wait after a lost connection; doubles up to
    retry_max_s: Seconds = 60.0
    refused_retry_s: Seconds = 300.0  # after refused credentials: nothing but a person mends that
    policy: PolicyConfig = PolicyConfig()
