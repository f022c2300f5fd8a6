"""Frames of ISO 15765-2."""

import pytest

from edge.simulator.iso_tp import frames


def test_single_frame_is_padded() -> None:
    assert [f.hex() for f in frames(b"\x41\x0c\x1a\xf8", 0xAA)] == ["04410c1af8aaaaaa"]
    assert [f.hex() for f in frames(bytes(7), 0xAA)] == ["0700000000000000"]


def test_long_answers_are_numbered_round_the_clock() -> None:
    cut = frames(bytes(range(200)), 0x55)
    assert cut[0].hex() == "10c8000102030405"
    assert [f[0] for f in cut[1:18]] == [*range(0x21, 0x30), 0x20, 0x21]
    assert all(len(f) == 8 for f in cut)
    assert b"".join([cut[0][2:], *(f[1:] for f in cut[1:])])[:200] == bytes(range(200))


def test_longest_answer() -> None:
    assert frames(bytes(4095), 0)[0][:2].hex() == "1fff"
    with pytest.raises(ValueError, match="4095"):
        frames(bytes(4096), 0)
