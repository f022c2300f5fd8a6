"""Bundles: the very frames that went in come out, and nothing else ever comes out."""

import random
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from sync_protocol import bundle, compression
from sync_protocol.bundle import MAX_FRAMES, frame_count, is_bundle, pack, unpack
from sync_protocol.codec import Group, encode
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.header import HEADER_BYTES
from sync_protocol.messages import Event, Meta
from sync_protocol.varints import Reader, write_varint
from tests.support.frames_strategies import METAS, groups

STREAM = bytes(range(16))
OBD, GPS = (6, 7, 14, 15), (128, 129, 131)


def rows(ids: tuple[int, ...], number: int, count: int = 10) -> Group:
    """Ten seconds of smooth columns, the `number`-th of a drive."""
    times = np.arange(count, dtype=np.int64) * 1000 + 10_000 * number + ids[0]
    values = np.array([(times // (500 + i)) % 1000 for i in ids], np.int64)
    return Group(ids, times, values, np.ones(values.shape, np.bool_))


def drive(count: int, *, compress: bool = False, first: int = 1) -> list[bytes]:
    """Frames of a drive, each with two groups; every fourth has no position, every fifth an event."""
    out = []
    for n in range(first, first + count):
        parts = [rows(OBD, n), rows(GPS, n)] if n % 4 else [rows(OBD, n)]
        meta = Meta((Event(10_000 * n, "harsh_brake", {"decel_ms2": 3.4}),)) if n % 5 == 0 else Meta()
        out.append(encode(STREAM, n, 1, parts, meta, compress=compress))
    return out


def test_a_minute_of_frames_takes_a_fraction_of_what_they_take_alone() -> None:
    frames, alone = drive(6), drive(6, compress=True)
    packed = pack(frames)
    assert is_bundle(packed)
    assert unpack(packed) == frames
    assert len(packed) < 0.6 * sum(map(len, alone))


def test_compressed_foreign_and_damaged_frames_ride_along_as_they_are() -> None:
    stored, other = drive(4), drive(2, compress=True, first=9)
    damaged = stored[2][:-1] + bytes([stored[2][-1] ^ 1])
    frames = [stored[0], other[0], stored[1], damaged, b"no frame at all", other[1], stored[3], stored[3]]
    assert unpack(pack(frames)) == frames


def test_what_cannot_go_through_a_run_begins_another() -> None:
    late = encode(STREAM, 9, 1, [rows(OBD, 1)], compress=False)  # instants before those of the frame before
    joined = encode(STREAM, 10, 1, [rows((6, 7, 128, 129), 10)], compress=False)  # two groups have become one
    boot = encode(STREAM, 11, 2, [rows(OBD, 11)], compress=False)
    stream = encode(STREAM[::-1], 12, 2, [rows(OBD, 12)], compress=False)
    frames = [*drive(3), late, joined, boot, stream, drive(1)[0]]
    assert unpack(pack(frames)) == frames


def test_a_stored_frame_that_another_encoder_would_make_otherwise_is_not_changed() -> None:
    (frame,) = drive(1, first=5)
    head, body = bytearray(frame[:HEADER_BYTES]), bytearray(frame[HEADER_BYTES:])
    at = body.index(b"\xa9decel_ms2\xcb")  # a double of MessagePack, here written as the single that says the same
    body[at + 10 : at + 19] = b"\xca\x40\x59\x99\x9a"
    body[0] -= 4
    head[39:41] = len(body).to_bytes(2, "little")
    head[41:45] = crc32(body).to_bytes(4, "little")
    head[45:49] = crc32(head[:45]).to_bytes(4, "little")
    frames = [bytes(head + body), drive(1, first=6)[0]]
    assert unpack(pack(frames)) == frames


CONTENTS = st.lists(st.tuples(groups(), METAS, st.booleans(), st.integers(1, 3)), min_size=1, max_size=4)


@given(CONTENTS)
def test_any_frames_survive_the_way(contents: list[tuple[list[Group], Meta, bool, int]]) -> None:
    frames = []
    seq = 0
    for content, meta, compress, step in contents:
        seq += step
        try:
            frames.append(encode(STREAM, seq, 1, content, meta, compress=compress))
        except ValueError:
            continue  # empty, or its times too far from each other for a frame
    if frames:
        assert unpack(pack(frames)) == frames


def resealed(content: bytes, frames: list[bytes]) -> bytes:
    """A bundle of any content, with the count and the checksum that its reader would find right for `frames`."""
    return bundle._packed(content, frames)


@pytest.mark.slow
def test_10_000_mutations_give_frames_rejected_or_unavailable() -> None:
    rng = random.Random(20261124)
    frames = drive(7)
    packed = pack(frames)
    content = bundle._runs(frames)
    outcomes = {"frames": 0, "rejected": 0, "unavailable": 0}
    for turn in range(10_000):
        mutant = _mutated(rng, packed) if turn % 2 else resealed(_mutated(rng, content), frames)
        try:
            assert unpack(mutant) == frames, "the checksum covers every byte of every frame"
            outcomes["frames"] += 1
        except Rejected:
            outcomes["rejected"] += 1
        except Unavailable:
            outcomes["unavailable"] += 1
    assert outcomes["rejected"] > 8_000
    assert sum(outcomes.values()) == 10_000


def _mutated(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(out))
        kind = rng.randrange(3)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[max(at, 1) :]
        else:
            out[at : at + rng.randint(0, 6)] = rng.randbytes(rng.randint(0, 6))
        out = out or bytearray(b"\xd4")
    return bytes(out)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "0 frames: it says 1"),
        (b"\x02", "at most 1"),
        (b"\x00\x05abc", "ends early"),
        (b"\x00\x00" * 2, "more than the 1 frames"),
        (b"\x01" + STREAM + b"\x01\x01", "ends early"),
        (b"\x01" + STREAM + b"\x01\x01\x00\x00\x00", "without a frame"),
        (b"\x01" + STREAM + b"\x01\x01" + b"\x02", "at most 1"),
        (b"\x01" + STREAM + b"\x80" * 9, "nine bytes"),
        (b"\x01" + STREAM + b"\x01\x01\x01\x00\x00\x00\x00\x00\x02\x00\x00", "empty frame"),
        (b"\x01" + STREAM + b"\x01\x00\x01\x00\x00\x00\x00\x00\x02\x00\x00", "sequence number 0"),
        (b"\x01" + STREAM + b"\x01\x01\x01\x00\x00\x00\x01\x00\x01\x00\x02\x00\x00", "rows that the run has not"),
        (b"\x01" + STREAM + b"\x01\x01\x01\x00\x00\x00\x00\x00\x03\x01\x80\x00", "meta of its own"),
    ],
)
def test_content_that_makes_no_sense_is_refused(content: bytes, text: str) -> None:
    with pytest.raises(Rejected, match=text):
        unpack(resealed(content, [b""]))


def test_rows_that_no_frame_has_are_refused() -> None:
    content = bytearray(bundle._runs(drive(1)))
    at = content.index(bytes([2, 0, 10, 1, 10]))  # two groups: ten rows of the first, ten of the second
    content[at + 4] = 9
    with pytest.raises(Rejected, match="in none of its frames"):
        unpack(resealed(bytes(content), [b""]))


def test_what_is_not_known_here_waits_for_a_newer_reader() -> None:
    packed = pack(drive(2))
    with pytest.raises(Unavailable, match="version 2"):
        unpack(packed[:2] + b"\x02" + packed[3:])
    with pytest.raises(Unavailable, match="dictionary 199"):
        unpack(packed[:3] + b"\xc8" + packed[4:])
    with pytest.raises(Rejected, match="not a bundle"):
        unpack(drive(1)[0])


def test_a_bundle_has_bounds() -> None:
    small = b"rides along"
    assert [frame_count(data) for data in (pack([small] * 7), small, b"", bundle.MAGIC)] == [7, 1, 1, 1]
    assert len(unpack(pack([small] * MAX_FRAMES))) == MAX_FRAMES
    with pytest.raises(ValueError, match="too much"):
        pack([small] * (MAX_FRAMES + 1))
    with pytest.raises(ValueError, match="too much"):
        pack([bytes(65_000)] * 5)
    with pytest.raises(ValueError, match="too much"):
        pack([])
    bomb = compression.compress(bytes(1 << 20))
    with pytest.raises(Rejected, match="at most"):
        unpack(bundle.MAGIC + bytes([1, bomb[0], 0]) + bytes(4) + write_varint(1 << 20) + bomb[1])
    with pytest.raises(Rejected, match="decompress"):
        unpack(bundle.MAGIC + bytes([1, bomb[0], 0]) + bytes(4) + write_varint(1 << 10) + bomb[1])


@given(st.integers(0, 2**63 - 1))
def test_varints(value: int) -> None:
    reader = Reader(write_varint(value) + b"\x05")
    assert reader.varint(value) == value
    assert (reader.left, reader.varint(9), reader.left) == (1, 5, 0)
