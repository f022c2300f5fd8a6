"""Every recording in tests/data/recordings makes the same rows, marks, events, anchors and frames, byte for byte."""

from pathlib import Path

import msgspec
import pytest

from edge.replay.check import check
from edge.replay.player import Recorded, load, play
from edge.replay.script import Diverged
from edge.sensors.recording import BusLine, EventLine, Row, read_header

FOLDER = Path(__file__).parents[1] / "data" / "recordings"
RECORDINGS = sorted(FOLDER.glob("*.jsonl.gz"))
_MOST_BYTES = 60_000
WHAT_IT_SHOWS = {
    "cold_start_codes": {"vin_read", "dtc_set", "dtc_cleared"},
    "adapter_unplugged": {"obd_connected", "obd_lost"},
    "sleep_and_wake": {"obd_connected", "obd_lost"},
    "k_line_clone": {"obd_connected", "vin_read", "dtc_set"},
}


def recorded(path: Path) -> Recorded:
    found = load(path)
    assert found is not None
    return found


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_the_same_again(path: Path) -> None:
    recording = recorded(path)
    report = check(recording, play(recording))
    assert report.differences == []
    assert report.frames > 3
    assert report.lines > 20
    assert path.stat().st_size < _MOST_BYTES
    assert "vin" in read_header(path).redacted
    events = {line.kind for line in recording.lines if isinstance(line, EventLine)}
    assert events >= WHAT_IT_SHOWS.get(path.name.removesuffix(".jsonl.gz"), set())


def test_there_are_recordings() -> None:
    assert len(RECORDINGS) >= 6


def test_a_byte_that_differs_is_found() -> None:
    """What keeps the test above honest: another answer of the adapter gives another row and another frame."""
    recording = recorded(FOLDER / "city_drive.jsonl.gz")
    at, line = next(
        (i, line) for i, line in enumerate(recording.lines) if isinstance(line, BusLine) and "410D" in line.data
    )
    speed = line.data.index("410D") + 4
    lines = list(recording.lines)
    lines[at] = msgspec.structs.replace(line, data=line.data[:speed] + "63" + line.data[speed + 2 :])
    report = check(recording, play(Recorded(recording.context, lines)))
    assert any("obd, line" in text for text in report.differences)
    assert any("frame" in text for text in report.differences)


def other_software(recording: Recorded) -> Recorded:
    """As if this software asked otherwise than the one that recorded: it leaves out a signal."""
    assert recording.context.obd is not None
    context = msgspec.structs.replace(recording.context, obd=recording.context.obd | {"skip": ["speed_kmh"]})
    return Recorded(context, recording.lines)


def test_other_requests_end_a_strict_replay_and_say_where() -> None:
    recording = other_software(recorded(FOLDER / "city_drive.jsonl.gz"))
    with pytest.raises(Diverged, match=r"bus at \d+ ms: recorded tx .*, now tx "):
        play(recording, is_strict=True)


def test_other_requests_are_answered_from_the_recording_and_reported() -> None:
    recording = other_software(recorded(FOLDER / "k_line_clone.jsonl.gz"))
    played = play(recording)
    assert played.differences.count > 10
    rows = [line for _, line in played.given if isinstance(line, Row) and line.group == "obd_1s"]
    assert len(rows) > 10
    assert not any(15 in row.raw for row in rows)
    assert any(14 in row.raw for row in rows)
