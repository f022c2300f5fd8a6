"""Single varints; those of a body's columns are read by the thousand in `columns`."""

from sync_protocol.errors import Rejected

_MAX_BYTES = 9


def write_varint(value: int) -> bytes:
    """Seven bits a byte, low bits first, the top bit set on all bytes but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Reader:
    """Reads from the front of some bytes; `Rejected` where they end early or a number is beyond its limit."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self._at = at

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > self.left:
            raise Rejected(f"ends early: {size} bytes expected, {self.left} left")
        self._at += size
        return self._data[self._at - size : self._at]

    def varint(self, most: int) -> int:
        """The next varint, 0 to `most`."""
        value = 0
        for i in range(_MAX_BYTES):
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                break
        else:
            raise Rejected("a varint of more than nine bytes")
        if value > most:
            raise Rejected(f"{value}: expected at most {most}")
        return value
