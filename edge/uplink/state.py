"""What the uplink says of itself."""

from typing import Literal

import msgspec

LinkWord = Literal["disabled", "connecting", "connected", "refused"]


class UplinkState(msgspec.Struct, frozen=True):
    """What `status` and `doctor` show. Times are boot_ms; `last_ack_ms` 0: none yet."""

    link: LinkWord
    detail: str
    since_ms: int
    last_ack_ms: int
    last_answer_ms: int
    in_flight: int
    frames_sent: int
    frames_sent_again: int
    bytes_sent: int
    bytes_received: int
