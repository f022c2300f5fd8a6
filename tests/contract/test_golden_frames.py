"""Frames that were ever released are read for ever, and a stored body is made byte for byte as it was."""

from pathlib import Path
import re

import numpy as np
import pytest

from sync_protocol.codec import decode, encode
from sync_protocol.header import HEADER_BYTES, STORED, ZSTD
from sync_protocol.short import restore, shorten
from tests.support.golden import read_golden

FRAMES = Path(__file__).parents[1] / "data" / "frames"
GOLDEN = sorted(path.with_suffix("") for path in FRAMES.glob("v*/*.bin"))
SPEC = Path(__file__).parents[2] / "sync_protocol" / "SPEC.md"


def test_there_are_golden_frames() -> None:
    assert len(GOLDEN) >= 8


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_golden_frame(path: Path) -> None:
    golden, data = read_golden(path)
    frame = decode(data)
    assert (frame.header.stream_id, frame.header.seq, frame.header.boot) == golden[:3]
    assert frame.meta == golden.meta
    assert [g.signal_ids for g in frame.groups] == [g.signal_ids for g in golden.groups]
    for got, want in zip(frame.groups, golden.groups, strict=True):
        for a, b in zip(got[1:], want[1:], strict=True):
            np.testing.assert_array_equal(a, b)
    if path.name.endswith("-zstd"):
        assert frame.header.coding > ZSTD, "made with a dictionary"
    else:
        assert frame.header.coding == STORED
        assert encode(*golden[:3], golden.groups, golden.meta, compress=False) == data


def test_the_worked_bytes_of_the_specification() -> None:
    line = re.search(r"^    ((?:[0-9a-f]{2} )+[0-9a-f]{2})$", SPEC.read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    golden, _ = read_golden(FRAMES / "v1" / "spec-example")
    body = encode(*golden[:3], golden.groups, golden.meta, compress=False)[HEADER_BYTES:]
    assert body.hex(" ") == line.group(1)


def test_the_short_form_of_the_specification() -> None:
    section = SPEC.read_text(encoding="utf-8").partition("### 3.7")[2]
    line = re.search(r"^    ((?:[0-9a-f]{2} ?)+)$", section, re.MULTILINE)
    assert line is not None
    short = bytes.fromhex(line.group(1))
    golden, whole = read_golden(FRAMES / "v1" / "spec-example")
    assert restore(short, [golden.stream_id]) == whole
    assert shorten(whole) == short
