"""The short form of a frame: gives back the very frame, and nothing else ever."""

import struct
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st
import pytest

from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import Header, pack_header, sample_count
from sync_protocol.short import is_short, restore, shorten
from tests.support.frames import Drive

STREAM = bytes(range(16))


def frame(first_ms: int = 5_000, span_ms: int = 9_000, body: bytes = b"body") -> bytes:
    """Header and a body that nobody decodes."""
    return pack_header(Header(1, 0, STREAM, 7, 3, first_ms, first_ms + span_ms, 320, 1, len(body), crc32(body))) + body


@pytest.mark.parametrize("less", [26, 24], ids=["stored", "coded"])
def test_a_frame_comes_out_as_it_was_and_goes_lighter(less: int) -> None:
    whole = frame() if less == 26 else Drive(7, rows=4).frame(1)
    short = shorten(whole)
    assert short is not None
    assert is_short(short)
    assert len(whole) - len(short) == less
    assert restore(short, [b"x" * 16, whole[4:20]]) == whole
    assert sample_count(short) == sample_count(whole) > 0


@pytest.mark.parametrize(
    "odd",
    [
        frame(first_ms=1 << 32),
        frame(span_ms=1 << 16),
        frame()[:-1] + b"?",
        frame()[:45] + b"????" + frame()[49:],
        b"",
        b"\xd4S",
        frame()[:48],
    ],
    ids=["up for 50 days", "a minute and more", "damaged body", "damaged header", "nothing", "short", "cut"],
)
def test_what_would_not_come_out_as_it_is_is_not_shortened(odd: bytes) -> None:
    assert shorten(odd) is None


def test_frames_at_the_edges_of_the_form() -> None:
    for whole in (frame(first_ms=(1 << 32) - 1), frame(span_ms=(1 << 16) - 1), frame(body=b"")):
        short = shorten(whole)
        assert short is not None
        assert restore(short, [STREAM]) == whole


@given(st.integers(0, 26), st.integers(1, 255))
def test_a_changed_byte_fits_no_stream(at: int, change: int) -> None:
    short = bytearray(shorten(frame()) or b"")
    short[at] ^= change
    with pytest.raises((Rejected, Unavailable)):
        restore(bytes(short), [STREAM])


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_give_a_frame_or_a_reason(data: bytes, is_marked: bool) -> None:
    with pytest.raises((Rejected, Unavailable)):
        restore((b"\xd4S" if is_marked else b"") + data, [STREAM])


def test_a_stream_that_is_not_known_is_unavailable_and_less_than_a_head_rejected() -> None:
    short = shorten(frame())
    assert short is not None
    with pytest.raises(Unavailable):
        restore(short, [])
    with pytest.raises(Rejected):
        restore(short[:22], [STREAM])
    assert sample_count(short[:17]) == 0
    assert struct.unpack_from("<H", short, 16) == (320,)
