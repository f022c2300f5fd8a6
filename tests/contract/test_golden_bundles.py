"""Bundles that were ever released are opened for ever, and the specification's example is made as it stands there."""

import json
from pathlib import Path
import re

import pytest

from sync_protocol.bundle import pack, unpack
from sync_protocol.codec import encode
from tests.support.golden import read_golden

DATA = Path(__file__).parents[1] / "data"
GOLDEN = sorted((DATA / "bundles").glob("v*/*.bin"))
SPEC = Path(__file__).parents[2] / "sync_protocol" / "SPEC.md"


def test_there_are_golden_bundles() -> None:
    assert len(GOLDEN) >= 2


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_golden_bundle(path: Path) -> None:
    frames = [bytes.fromhex(text) for text in json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))]
    assert unpack(path.read_bytes()) == frames


def test_the_worked_bundle_of_the_specification() -> None:
    section = SPEC.read_text(encoding="utf-8").partition("### 3.6")[2].partition("### 3.7")[0]
    lines = re.findall(r"^    ((?:[0-9a-f]{2} ?)+)$", section, re.MULTILINE)
    golden, _ = read_golden(DATA / "frames" / "v1" / "spec-example")
    (first,) = golden.groups
    second = first._replace(times_ms=first.times_ms + 3000)
    frames = [encode(golden.stream_id, n, 3, [g], compress=False) for n, g in ((1, first), (2, second))]
    assert pack(frames) == bytes.fromhex(" ".join(lines))
