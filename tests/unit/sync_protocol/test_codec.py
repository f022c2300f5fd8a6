"""Frames: what goes in comes out, in one pass or one by one, and nothing else ever comes out."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from sync_protocol import codec, compression, header
from sync_protocol.codec import Frame, Group, decode, decode_chunk, encode
from sync_protocol.errors import MilepostError, Rejected, Unavailable
from sync_protocol.header import HEADER_BYTES, Header, pack_header
from sync_protocol.messages import Event, Meta
from tests.support.frames_strategies import METAS, groups

STREAM = bytes(range(16))


def group(rows: int = 10, ids: tuple[int, ...] = (6, 7, 14, 15), start_ms: int = 5000) -> Group:
    times = np.arange(rows, dtype=np.int64) * 1000 + start_ms
    values = np.arange(len(ids) * rows, dtype=np.int64).reshape(len(ids), rows) * 3
    return Group(ids, times, values, np.ones(values.shape, np.bool_))


def assert_same(frame: Frame, wanted: list[Group], meta: Meta) -> None:
    assert frame.meta == meta
    assert len(frame.groups) == len(wanted)
    for got, want in zip(frame.groups, wanted, strict=True):
        assert got.signal_ids == want.signal_ids
        for a, b in zip(got[1:], want[1:], strict=True):
            np.testing.assert_array_equal(a, b)


@given(groups(), METAS, st.booleans(), st.integers(1, 2**32 - 1), st.integers(0, 65535))
def test_frame_survives_the_way(content: list[Group], meta: Meta, compress: bool, seq: int, boot: int) -> None:
    if not content and meta == Meta():
        return
    times = [t for g in content for t in (int(g.times_ms[0]), int(g.times_ms[-1]))]
    times += [e.boot_ms for e in meta.events] + [a.boot_ms for a in meta.anchors]
    times += [t for m in meta.marks for t in (m.first_ms, m.last_ms)]
    if max(times) - min(times) >= 2**32:
        return
    data = encode(STREAM, seq, boot, content, meta, compress=compress)
    frame = decode(data)
    assert (frame.header.stream_id, frame.header.seq, frame.header.boot) == (STREAM, seq, boot)
    assert (frame.header.first_ms, frame.header.last_ms) == (min(times), max(times))
    assert_same(frame, content, meta)


@given(st.lists(groups().filter(bool), min_size=1, max_size=6), st.data())
def test_chunk_equals_one_by_one(contents: list[list[Group]], data: st.DataObject) -> None:
    frames = [encode(STREAM, i + 1, 1, _near(c)) for i, c in enumerate(contents)]
    broken = data.draw(st.sets(st.integers(0, len(frames) - 1)))
    datas = [f[:-1] if i in broken else f for i, f in enumerate(frames)]
    chunk = decode_chunk(datas)
    assert [i for i, _ in chunk.bad] == sorted(broken)
    assert [i for i, _, _ in chunk.frames] == [i for i in range(len(frames)) if i not in broken]
    want = []
    for i, _, _ in chunk.frames:
        for g in decode(frames[i]).groups:
            for c, r in zip(*np.nonzero(g.present), strict=True):
                want.append((i, int(g.times_ms[r]), g.signal_ids[c], int(g.values[c, r])))
    index = [i for i, _, _ in chunk.frames]
    got = [
        (index[chunk.row_frame[row]], int(chunk.row_ms[row]), int(signal), int(raw))
        for row, signal, raw in zip(chunk.cell_row, chunk.cell_signal, chunk.cell_raw, strict=True)
    ]
    assert got == want


def _near(content: list[Group]) -> list[Group]:
    return [g._replace(times_ms=g.times_ms - g.times_ms[0]) for g in content]


def _mutant(rng: random.Random, data: bytes) -> bytes:
    """Flip, cut, grow or splice; half of them with checksums made right again, so that the inside is tried too."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        kind = rng.randrange(4)
        if kind == 0:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del out[rng.randrange(len(out)) :]
        elif kind == 2:
            out += rng.randbytes(rng.randint(1, 8))
        else:
            at = rng.randrange(len(out))
            out[at : at + rng.randint(1, 8)] = rng.randbytes(rng.randint(0, 8))
        if not out:
            out = bytearray(b"\xd4")
    if len(out) > HEADER_BYTES and rng.random() < 0.7:
        at = header._LAYOUT.size
        body_crc = header.crc32(bytes(out[HEADER_BYTES:]))
        out[at - 4 : at] = body_crc.to_bytes(4, "little")
        out[at : at + 4] = header.crc32(bytes(out[:at])).to_bytes(4, "little")
    return bytes(out)


@pytest.mark.parametrize("compress", [True, False])
def test_10_000_mutations_give_the_frame_or_rejected(compress: bool) -> None:
    rng = random.Random(20261124)
    partial = group(ids=(128, 129, 130), start_ms=5037)
    partial.present[1, 2:4] = False
    partial.values[~partial.present] = 0
    meta = Meta((Event(5100, "harsh_brake", {"decel_ms2": 3.4}),))
    frames = [encode(STREAM, 7, 1, [group(), partial], meta, compress=compress), encode(STREAM, 8, 1, [group(60)])]
    outcomes = {"frame": 0, "rejected": 0, "unavailable": 0}
    mutants = [_mutant(rng, rng.choice(frames)) for _ in range(10_000)]
    for mutant in mutants:
        try:
            decode(mutant)
            outcomes["frame"] += 1
        except Rejected:
            outcomes["rejected"] += 1
        except Unavailable:
            outcomes["unavailable"] += 1
    assert sum(outcomes.values()) == 10_000
    assert outcomes["rejected"] > 5_000
    for i in range(0, len(mutants), 100):
        part = [*mutants[i : i + 100], frames[0]]
        chunk = decode_chunk(part)
        alone = [_try(data) for data in part]
        assert [i for i, _ in chunk.bad] == [i for i, ok in enumerate(alone) if not ok]
        assert chunk.frames[-1][0] == len(part) - 1


def _try(data: bytes) -> bool:
    try:
        decode(data)
    except MilepostError:
        return False
    return True


def test_a_frames_checksum_covers_its_header_too() -> None:
    """The columns of a standing vehicle are the same at any time: a clone's frame must still be another frame."""
    frames = [encode(STREAM, seq, boot, [group(start_ms=ms)]) for seq in (1, 2) for boot in (1, 2) for ms in (0, 9000)]
    assert len({codec.frame_crc(frame) for frame in frames}) == len(frames)


def test_a_mutation_without_right_checksums_is_always_rejected() -> None:
    rng = random.Random(1)
    data = encode(STREAM, 7, 1, [group()])
    for _ in range(2000):
        at = rng.randrange(len(data))
        mutant = data[:at] + bytes([data[at] ^ rng.randint(1, 255)]) + data[at + 1 :]
        with pytest.raises(Rejected):
            decode(mutant)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"version": 2}, Unavailable, "version 2"),
        ({"coding": 200}, Unavailable, "dictionary 199"),
        ({"seq": 0}, Rejected, "sequence number 0"),
        ({"samples": 39}, Rejected, "more rows or samples"),
        ({"samples": 41}, Rejected, "40 samples"),
        ({"events": 1}, Rejected, "0 events"),
        ({"body_bytes": 3}, Rejected, "body"),
        ({"last_ms": 5001}, Rejected, "instants"),
    ],
)
def test_a_header_that_lies_is_refused(change: dict[str, int], error: type[MilepostError], text: str) -> None:
    data = encode(STREAM, 7, 1, [group()], compress=False)
    old = codec.read_header(data)
    lie = Header(**{name: change.get(name, getattr(old, name)) for name in Header.__struct_fields__})
    with pytest.raises(error, match=text):
        decode(pack_header(lie) + data[HEADER_BYTES:])


def test_signals_of_a_newer_catalogue_wait() -> None:
    data = encode(STREAM, 7, 1, [group(ids=(14, 161))], compress=False)
    body = bytearray(data[HEADER_BYTES:])
    at = body.index(bytes([1, 20]), 2)  # signal set: first byte 1, twenty bytes
    body[at + 2 + 18] |= 0x80  # id 159: not in the catalogue
    head = codec.read_header(data)
    cells = Header(**{n: getattr(head, n) for n in Header.__struct_fields__} | {"body_crc": header.crc32(bytes(body))})
    with pytest.raises(Unavailable, match="159"):
        decode(pack_header(cells) + bytes(body))


def test_frames_without_samples_go_through_a_chunk() -> None:
    event = encode(STREAM, 1, 1, [], Meta((Event(5, "agent_started"),)))
    for datas in ([event], [event, encode(STREAM, 2, 1, [group()]), event]):
        chunk = decode_chunk(datas)
        assert len(chunk.frames) == len(datas)
        assert not chunk.bad
    assert decode_chunk([]).frames == []


def test_bytes_without_magic_are_no_frame() -> None:
    for data in (b"", b"\xd4", b"hello", b"\xd4H..."):
        assert not header.is_frame(data)
        with pytest.raises(Rejected, match="not a frame"):
            codec.read_header(data)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (group(ids=(7, 6)), "rising ids"),
        (group(ids=(7, 999)), "rising ids"),
        (group(rows=0), "shape"),
        (group()._replace(times_ms=np.array([1000] * 10)), "rising instants"),
    ],
)
def test_what_cannot_be_a_frame_is_refused_when_it_is_made(bad: Group, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        encode(STREAM, 1, 1, [bad])


def test_an_empty_frame_and_one_too_large_are_refused() -> None:
    with pytest.raises(ValueError, match="empty frame"):
        encode(STREAM, 1, 1, [])
    with pytest.raises(ValueError, match="too much"):
        encode(STREAM, 1, 1, [], Meta(tuple(Event(1, "x") for _ in range(256))))


def test_changes_beyond_nine_varint_bytes_are_refused() -> None:
    huge = group(rows=1, ids=(6,))._replace(values=np.array([[(1 << 62) + 200]]))
    with pytest.raises(ValueError, match="nine varint bytes"):
        encode(STREAM, 1, 1, [huge])


def test_decompression_is_bounded() -> None:
    bomb = compression.compress(bytes(60_000))[1]
    with pytest.raises(Rejected, match="decompress"):
        compression.decompress(compression.ZSTD + compression.DICTIONARY, bomb, 1000)


@settings(max_examples=50)
@given(st.binary(max_size=300))
def test_any_bytes_are_answered(data: bytes) -> None:
    with pytest.raises((Rejected, Unavailable)):
        decode(data)
