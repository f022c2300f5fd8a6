"""What a connection has really cost, as the kernel counts it: all bytes both ways, and the headers of every segment.

And what still waits in it.
"""

from fcntl import ioctl
import socket
import struct
import termios

import msgspec

_TCP_INFO = 11
_TIMESTAMPS = 0x1
_OPTIONS_AT, _RECEIVED_AT, _SEGMENTS_AT, _SENT_AT = 5, 128, 136, 200
_WHOLE_BYTES = 208
_HEADERS_4, _HEADERS_6 = 40, 60
_TIMESTAMP_BYTES = 12


class WireBytes(msgspec.Struct, frozen=True):
    """Bytes of IP packets since a connection was opened."""

    up: int
    down: int


def wire_bytes(channel: socket.socket) -> WireBytes | None:
    """Of a TCP socket; None where the system does not tell (not Linux, a kernel before 4.19).

    Headers are reckoned: 40 bytes a segment over IPv4, 60 over IPv6, 12 more with timestamps. SACK blocks, the options
    of SYN and bytes that came in twice are not seen.
    """
    try:
        info = channel.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 256)
    except OSError:
        return None
    if len(info) < _WHOLE_BYTES:
        return None
    headers = _HEADERS_6 if channel.family == socket.AF_INET6 else _HEADERS_4
    headers += _TIMESTAMP_BYTES if info[_OPTIONS_AT] & _TIMESTAMPS else 0
    (received,) = struct.unpack_from("=Q", info, _RECEIVED_AT)
    segments_out, segments_in = struct.unpack_from("=II", info, _SEGMENTS_AT)
    (sent,) = struct.unpack_from("=Q", info, _SENT_AT)
    return WireBytes(sent + headers * segments_out, received + headers * segments_in)


def queued_bytes(channel: socket.socket) -> int:
    """Bytes in a TCP socket that the other side has not acknowledged yet; 0 where the system does not tell."""
    try:
        (queued,) = struct.unpack("=i", ioctl(channel.fileno(), termios.TIOCOUTQ, bytes(4)))
    except (OSError, ValueError):
        return 0
    return int(queued)
