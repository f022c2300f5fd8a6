"""The short form of one frame: a form for the way only, without what the cloud knows already or can reckon.

24 bytes of the 49 before the body stay behind: the stream's id, which is one of the few that the sending device has;
the body's checksum, which is made anew; and the upper halves of two times. So does the size of a body that is stored
as it is. header_crc covers all of it, so that a wrong guess and a damaged body both show. `SPEC.md` has the layout.
"""

from collections.abc import Iterable
import struct
from zlib import crc32

from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import HEADER_BYTES, MAGIC, MAX_BODY_BYTES, SHORT_MAGIC, STORED

_STORED = bytes([STORED])
_CRC_AT = HEADER_BYTES - 4
_SIZE_AT = 19
_CRC = struct.Struct("<I")


def is_short(data: bytes) -> bool:
    """Whether an up message is one frame in its short form."""
    return data[:2] == SHORT_MAGIC


def shorten(frame: bytes) -> bytes | None:
    """The short form of a whole frame; None for one that would not come out of it as it is."""
    size = b"" if frame[3:4] == _STORED else frame[39:41]
    short = SHORT_MAGIC + frame[2:4] + frame[20:26] + frame[28:34] + frame[36:39] + size + frame[_CRC_AT:]
    try:
        return short if restore(short, [frame[4:20]]) == frame else None
    except (Rejected, Unavailable):
        return None


def restore(short: bytes, stream_ids: Iterable[bytes]) -> bytes:
    """The whole frame, byte for byte. `stream_ids` are those of the device that sent it, the likeliest first.

    `Rejected` for what was never a short form, `Unavailable` when it fits none of the streams.
    """
    if not is_short(short):
        raise Rejected("not a short frame: expected to start with d4 53")
    is_stored = short[3:4] == _STORED
    crc_at = _SIZE_AT if is_stored else _SIZE_AT + 2
    body = short[crc_at + 4 :]
    if len(short) < crc_at + 4 or len(body) > MAX_BODY_BYTES:
        raise Rejected(f"short frame of {len(short)} bytes")
    size = len(body).to_bytes(2, "little") if is_stored else short[_SIZE_AT:crc_at]
    head = short[4:10] + b"\0\0" + short[10:16] + b"\0\0" + short[16:_SIZE_AT] + size + _CRC.pack(crc32(body))
    begin = MAGIC + short[2:4]
    (expected,) = _CRC.unpack_from(short, crc_at)
    for stream_id in stream_ids:
        whole = begin + stream_id + head
        if crc32(whole) == expected:
            return whole + short[crc_at:]
    raise Unavailable("a short frame that fits no stream of its device: damaged, or the stream is not known here")
