"""Recordings: what goes in comes out, whatever happens to the file."""

import asyncio
import gzip
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from edge.sensors.recorder import Recorder, RecordingSink
from edge.sensors.recording import read_header, read_recording
from edge.sensors.replay import ReplayConfig, ReplaySensor
from sync_protocol.errors import Rejected, Unavailable
from sync_protocol.messages import TimeAnchor
from tests.support.elm_fakes import CollectingSink, boot_ms


def record(path: Path, rows: int = 3) -> CollectingSink:
    onward = CollectingSink()
    with Recorder(path, boot_ms=1_000, utc_ms=1_795_000_000_000, agent="0.1.0") as file:
        recorder = RecordingSink(file, onward)
        for n in range(rows):
            recorder.row("obd_1s", 1_000 + n * 1_000, {14: 8_000 + n, 15: 50})
        recorder.mark(iter([14, 15]), 4_000, "no_data")
        recorder.event("dtc_set", 4_100, {"code": "P0143", "status": "stored"})
        recorder.anchor(TimeAnchor(4_200, 1_795_000_003_200, "gps", 500))
        assert file.failure is None
    return onward


def replay(path: Path, speed: float = 0) -> tuple[CollectingSink, ReplaySensor]:
    sink = CollectingSink()
    sensor = ReplaySensor(ReplayConfig(path=str(path), speed=speed), boot_ms)
    asyncio.run(asyncio.wait_for(sensor.run(sink), 20))
    return sink, sensor


@pytest.mark.parametrize("name", ["trip.jsonl", "trip.jsonl.gz"])
def test_what_was_recorded_is_replayed(tmp_path: Path, name: str) -> None:
    onward = record(tmp_path / name)
    sink, sensor = replay(tmp_path / name)
    assert sink == onward
    assert sensor.state().facts["played"] == 6
    header = read_header(tmp_path / name)
    assert (header.version, header.boot_ms, header.agent) == (1, 1_000, "0.1.0")


def test_the_format_is_what_the_documentation_says(tmp_path: Path) -> None:
    path = tmp_path / "trip.jsonl"
    record(path, rows=1)
    assert path.read_text().splitlines() == [
        '{"type":"milepost_recording","version":1,"boot_ms":1000,"catalogue":1,"utc_ms":1795000000000,"agent":"0.1.0"}',
        '{"type":"row","t":1000,"group":"obd_1s","raw":{"14":8000,"15":50}}',
        '{"type":"mark","t":4000,"ids":[14,15],"kind":"no_data"}',
        '{"type":"event","t":4100,"kind":"dtc_set","data":{"code":"P0143","status":"stored"}}',
        '{"type":"anchor","t":4200,"utc_ms":1795000003200,"source":"gps","uncertainty_ms":500}',
    ]


@pytest.mark.parametrize("name", ["trip.jsonl", "trip.jsonl.gz"])
def test_a_file_cut_off_by_a_power_failure_plays_up_to_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    onward = record(path, rows=3_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    sink, _ = replay(path)
    assert 500 < len(sink.rows) < 3_000
    assert sink.rows == onward.rows[: len(sink.rows)]


def test_unknown_lines_and_fields_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "trip.jsonl"
    onward = record(path)
    lines = path.read_text().splitlines()
    lines.insert(2, '{"type":"weather","t":5,"wind":{"ms":3}}')
    lines[3] = lines[3].replace('"t":', '"later":1,"t":')
    path.write_text("\n".join(lines) + "\n")
    assert replay(path)[0] == onward


@pytest.mark.parametrize(
    "text", ["", "{}\n", "no json\n", '{"type":"row","t":1,"group":"a","raw":{}}\n', '{"type":"milepost_recording"}\n']
)
def test_what_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trip.jsonl"
    path.write_text(text)
    with pytest.raises(Rejected):
        ReplaySensor(ReplayConfig(path=str(path)), boot_ms)


def test_later_versions_missing_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "trip.jsonl"
    path.write_text('{"type":"milepost_recording","version":2,"boot_ms":0,"catalogue":1}\n')
    with pytest.raises(Rejected, match="version 2"):
        read_header(path)
    with pytest.raises(Rejected):
        read_header(tmp_path / "none.jsonl")
    record(path)
    lines = path.read_text().splitlines()
    lines[2] = lines[2][:-4]
    path.write_text("\n".join(lines))
    with pytest.raises(Rejected, match="line 3"):
        list(read_recording(path))
    packed = tmp_path / "trip.jsonl.gz"
    packed.write_bytes(b"no gzip at all, but long enough to be read")
    with pytest.raises(Rejected):
        read_header(packed)
    whole = gzip.compress(b'{"type":"milepost_recording","version":1,"boot_ms":0,"catalogue":1}\n' * 400, mtime=0)
    packed.write_bytes(whole[:30] + bytes([whole[30] ^ 0xFF]) + whole[31:])
    with pytest.raises(Rejected):
        list(read_recording(packed))


def test_a_disk_that_cannot_be_written_ends_the_recording_only(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Recorder(tmp_path / "no" / "trip.jsonl", 0)
    onward = CollectingSink()
    with Recorder(Path("/dev/full"), 0) as file:
        recorder = RecordingSink(file, onward)
        for n in range(20_000):
            recorder.row("gps", n, {128: n})
    assert file.failure
    assert len(onward.rows) == 20_000


def test_speed_shortens_the_waits_and_the_times(tmp_path: Path) -> None:
    path = tmp_path / "trip.jsonl"
    with Recorder(path, 0) as file:
        recorder = RecordingSink(file, CollectingSink())
        for n in range(11):
            recorder.row("gps", n * 1_000, {128: n})
            recorder.anchor(TimeAnchor(n * 1_000, 1_795_000_000_000 + n * 1_000, "gps", 500))
    before_ms = boot_ms()
    sink, sensor = replay(path, speed=50)
    times = [t - before_ms for _, t, _ in sink.rows]
    assert [b - a for a, b in pairwise(times)] == [20] * 10
    assert 200 <= boot_ms() - before_ms < 3_000
    assert len(sink.anchors) == 1
    assert sensor.state().link == "closed"


any_data = st.dictionaries(st.text(max_size=5), st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.none())


@given(
    rows=st.lists(st.tuples(st.integers(0, 2**48), st.dictionaries(st.integers(1, 999), st.integers(-(2**62), 2**62)))),
    data=any_data,
)
def test_any_row_and_event_survives(tmp_path_factory: Any, rows: list[Any], data: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("r") / "trip.jsonl"
    onward = CollectingSink()
    with Recorder(path, 0) as file:
        recorder = RecordingSink(file, onward)
        for at_ms, values in rows:
            recorder.row("any", at_ms, values)
        recorder.event("any", 0, data)
    assert replay(path)[0] == onward
