"""Everything but frames that travels, and the parts of a frame that are not columns. MessagePack arrays.

Times are device time, milliseconds of CLOCK_BOOTTIME (`boot_ms`), unless a name says `utc_ms`.
Fields are only ever added at the end, with a default; readers skip what they do not know.
"""

from typing import Any, Literal

import msgspec

from sync_protocol.errors import Rejected

PROTOCOL_VERSION = 1
HELLO_MAGIC = b"\xd4H"

AnchorSource = Literal["gps", "ntp", "cloud", "rtc", "guess"]
MarkKind = Literal["out_of_range", "stale", "no_data", "bus_error", "invalid"]
GapReason = Literal["disk_full", "damaged", "power", "killed", "private", "wiped"]
SeqRange = tuple[int, int]
AckRange = tuple[int, int, int]
"""First and last seq, and the XOR of the CRC-32s of the frames in between, both included."""


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened, seen by the device. `data` holds named values with their units in the names."""

    boot_ms: int
    kind: str
    data: dict[str, Any] = {}


class TimeAnchor(msgspec.Struct, frozen=True, array_like=True):
    """Ties device time to UTC: at `boot_ms` it was `utc_ms`, give or take `uncertainty_ms`."""

    boot_ms: int
    utc_ms: int
    source: AnchorSource
    uncertainty_ms: int


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Why a signal has no good sample from `first_ms` to `last_ms` (both included)."""

    signal_id: int
    first_ms: int
    last_ms: int
    kind: MarkKind


class Meta(msgspec.Struct, frozen=True, array_like=True):
    """The part of a frame's body that is not columns."""

    events: tuple[Event, ...] = ()
    anchors: tuple[TimeAnchor, ...] = ()
    marks: tuple[Mark, ...] = ()


class Gap(msgspec.Struct, frozen=True, array_like=True):
    """Frames `first` to `last` of a stream that the device no longer has, and why."""

    first: int
    last: int
    reason: GapReason


class StreamState(msgspec.Struct, frozen=True, array_like=True):
    """One stream as the device knows it. `acked` are ranges the cloud has acknowledged, `held` those still on disk."""

    stream_id: bytes
    is_active: bool
    last_seq: int
    acked: tuple[SeqRange, ...] = ()
    held: tuple[SeqRange, ...] = ()
    gaps: tuple[Gap, ...] = ()


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """Device to cloud, on every connect and whenever acknowledgements stay away. Oldest stream first."""

    agent_version: str
    boot: int
    boot_ms: int
    streams: tuple[StreamState, ...]
    utc_ms: int | None = None
    utc_source: AnchorSource | None = None
    protocol_version: int = PROTOCOL_VERSION
    vin: str | None = None


class StreamAnswer(msgspec.Struct, frozen=True, array_like=True):
    """What the cloud has of one stream. `gaps` are the gaps it has written down, so the device may stop saying them."""

    stream_id: bytes
    stored: tuple[SeqRange, ...] = ()
    quarantined: tuple[SeqRange, ...] = ()
    forked: tuple[int, ...] = ()
    gaps: tuple[Gap, ...] = ()


class HelloAnswer(msgspec.Struct, frozen=True, array_like=True, tag="hello_answer"):
    """Cloud to device: what is stored, and what time it is."""

    utc_ms: int
    streams: tuple[StreamAnswer, ...]
    protocol_version: int = PROTOCOL_VERSION
    reads_short: bool = False
    """Frames of these streams may come in their short form."""


class Ack(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """Cloud to device: these frames are committed (or durably quarantined); they may be evicted.

    Checksums say which frames are meant. A clone of a device hears the acknowledgements of the other one's frames under
    the same numbers, and must not take them for its own. `forked` are (seq, CRC-32) of frames that were refused
    because another frame is stored under their number.
    """

    stream_id: bytes
    ranges: tuple[AckRange, ...]
    forked: tuple[tuple[int, int], ...] = ()


class Command(msgspec.Struct, frozen=True, array_like=True, tag="command"):
    """Cloud to device: do something. `number` rises strictly for each device.

    To an enrolled device it is signed (Ed25519, of `command_to_sign`) by key 1 or 2 of those that it has pinned. Key 0:
    unsigned, of a demo.
    """

    number: int
    kind: str
    expires_utc_ms: int
    args: dict[str, Any] = {}
    key_id: int = 0
    signature: bytes = b""


Down = Ack | HelloAnswer | Command

_encoder = msgspec.msgpack.Encoder()
_down: msgspec.msgpack.Decoder[Down] = msgspec.msgpack.Decoder(Down)
_hello = msgspec.msgpack.Decoder(Hello)
_meta = msgspec.msgpack.Decoder(Meta)


def encode_meta(meta: Meta) -> bytes:
    """MessagePack of a frame's events, anchors and marks; empty when there are none."""
    return _encoder.encode(meta) if meta.events or meta.anchors or meta.marks else b""


def decode_meta(data: bytes | memoryview) -> Meta:
    """Inverse of `encode_meta`; `Rejected` when the bytes are not a `Meta`."""
    if not data:
        return Meta()
    try:
        return _meta.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise Rejected(f"frame meta: {err}") from err


def encode_hello(hello: Hello) -> bytes:
    """Bytes of a hello as published on the device's up subject."""
    return HELLO_MAGIC + _encoder.encode(hello)


def is_hello(data: bytes) -> bool:
    """Whether an up message is a hello rather than a frame."""
    return data[:2] == HELLO_MAGIC


def decode_hello(data: bytes) -> Hello:
    """Inverse of `encode_hello`; `Rejected` when the bytes are not a hello."""
    try:
        return _hello.decode(data[2:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise Rejected(f"hello: {err}") from err


def command_to_sign(command: Command, tenant: str, device: str) -> bytes:
    """What the signature of a command is over: everything but itself, and whom it is for."""
    unsigned = msgspec.structs.replace(command, signature=b"")
    return b"milepost-command-1" + _encoder.encode((tenant, device, unsigned))


def encode_down(message: Down) -> bytes:
    """Bytes of a message to a device."""
    return _encoder.encode(message)


def decode_down(data: bytes) -> Down:
    """Inverse of `encode_down`; `Rejected` when the bytes are none of Ack, HelloAnswer, Command."""
    try:
        return _down.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise Rejected(f"message from the cloud: {err}") from err
