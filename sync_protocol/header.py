"""The fixed 49 bytes in front of every frame; SPEC.md draws them. Their layout is the same in every version."""

import struct
from zlib import crc32

import msgspec

from sync_protocol.errors import Rejected, Unavailable

MAGIC = b"\xd4M"
SHORT_MAGIC = b"\xd4S"
"""Of a frame in its short form; see `short`."""
VERSION = 1
STORED, ZSTD = 0, 1
"""Codings of the body: as it is, zstd without dictionary; 1 + n is zstd with dictionary n."""

MAX_SAMPLES = 65_535
MAX_EVENTS = 255
MAX_BODY_BYTES = 65_535

_LAYOUT = struct.Struct("<2sBB16sIHHIIHBHI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _LAYOUT.size + _CRC.size
_SAMPLES = struct.Struct("<H")
_SAMPLES_AT = {MAGIC: struct.calcsize("<2sBB16sIHHII"), SHORT_MAGIC: struct.calcsize("<2sBBIHIH")}


class Header(msgspec.Struct, frozen=True):
    """Identity and shape of a frame. Times are device time in ms; `body_bytes` counts the body before compression.

    `body_crc` covers the body as sent, after compression.
    """

    version: int
    coding: int
    stream_id: bytes
    seq: int
    boot: int
    first_ms: int
    last_ms: int
    samples: int
    events: int
    body_bytes: int
    body_crc: int


def pack_header(header: Header) -> bytes:
    """The 49 bytes; struct.error when a field is out of its range."""
    head = _LAYOUT.pack(
        MAGIC,
        header.version,
        header.coding,
        header.stream_id,
        header.seq,
        header.boot,
        header.first_ms >> 32,
        header.first_ms & 0xFFFFFFFF,
        header.last_ms - header.first_ms,
        header.samples,
        header.events,
        header.body_bytes,
        header.body_crc,
    )
    return head + _CRC.pack(crc32(head))


def read_header(data: bytes) -> Header:
    """Parse and check a frame's header, not its body.

    `Rejected` for anything that never was a whole header, `Unavailable` for a version this program does not know.
    """
    if not is_frame(data):
        raise Rejected("not a frame: expected to start with d4 4d")
    if len(data) < HEADER_BYTES:
        raise Rejected(f"frame of {len(data)} bytes: expected at least {HEADER_BYTES}")
    (crc,) = _CRC.unpack_from(data, _LAYOUT.size)
    if crc32(data[: _LAYOUT.size]) != crc:
        raise Rejected("header checksum differs")
    _, version, coding, stream_id, seq, boot, high, low, span, samples, events, body_bytes, body_crc = (
        _LAYOUT.unpack_from(data)
    )
    if version != VERSION:
        raise Unavailable(f"frame version {version} is not known here")
    if seq == 0:
        raise Rejected("sequence number 0: expected 1 or more")
    first_ms = high << 32 | low
    return Header(
        version, coding, stream_id, seq, boot, first_ms, first_ms + span, samples, events, body_bytes, body_crc
    )


def is_frame(data: bytes) -> bool:
    """Whether bytes carry the frame's magic. Without it they belong to no stream and touch no ledger."""
    return data[:2] == MAGIC


def sample_count(data: bytes) -> int:
    """How many samples a frame, whole or short, says it holds, unchecked; 0 for what is no frame."""
    at = _SAMPLES_AT.get(data[:2], len(data))
    return int(_SAMPLES.unpack_from(data, at)[0]) if at + _SAMPLES.size <= len(data) else 0


def frame_crc(data: bytes) -> int:
    """CRC-32 of a frame without its header_crc: two frames of one identity are the same frame when this is equal.

    Without, because a CRC over anything and its own CRC is a constant: the header would not count.
    """
    return crc32(data[HEADER_BYTES:], crc32(data[: _LAYOUT.size]))
