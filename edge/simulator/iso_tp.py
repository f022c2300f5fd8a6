"""Answers of a control unit cut into CAN frames (ISO 15765-2), each with its eight data bytes."""


def frames(data: bytes, padding: int) -> list[bytes]:
    """A single frame, or a first frame with its consecutive ones. Raises ValueError beyond 4095 bytes."""
    if len(data) > 4095:
        raise ValueError(f"{len(data)} bytes: expected at most 4095")
    if len(data) <= 7:
        return [_padded(bytes([len(data)]) + data, padding)]
    result = [bytes([0x10 | len(data) >> 8, len(data) & 0xFF]) + data[:6]]
    for number, start in enumerate(range(6, len(data), 7), start=1):
        result.append(_padded(bytes([0x20 | number & 0x0F]) + data[start : start + 7], padding))
    return result


def _padded(frame: bytes, padding: int) -> bytes:
    return frame + bytes([padding]) * (8 - len(frame))
