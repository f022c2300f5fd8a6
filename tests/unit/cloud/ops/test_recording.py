"""Recordings as CSV: columns, times, units, and what is told when a file is no good."""

from datetime import UTC, datetime
import gzip
from pathlib import Path

import numpy as np
import pytest

from cloud.ops.importer import frames
from cloud.ops.recording import Mapping, Recording, load_mapping, load_recording
from sync_protocol.codec import decode
from sync_protocol.errors import ConfigError, Rejected
from sync_protocol.signals import catalogue
from tests.support.real_data import require_data
from tests.support.recordings import CAROBD_SIGNALS

START = datetime(2026, 2, 3, 8, tzinfo=UTC)
STREAM = bytes(range(16))


def read(
    tmp_path: Path, text: str, mapping: Mapping | None = None, start: datetime | None = None, period_s: float = 1.0
) -> Recording:
    file = tmp_path / "r.csv"
    file.write_text(text, encoding="utf-8")
    return load_recording(file, mapping or Mapping(), start, period_s)


def values(recording: Recording, name: str) -> list[float | None]:
    at = [signal.name for signal in recording.signals].index(name)
    signal = recording.signals[at]
    return [
        signal.value(int(raw)) if has else None
        for raw, has in zip(recording.raw[at], recording.present[at], strict=True)
    ]


def test_signal_names_as_columns(tmp_path: Path) -> None:
    found = read(tmp_path, "ts,speed_kmh,coolant_c,note\n2026-02-03T08:00:00Z,50,80,x\n2026-02-03T08:00:01Z,,81,y\n")
    assert found.start == START
    assert found.times_ms.tolist() == [0, 1000]
    assert values(found, "speed_kmh") == [50.0, None]
    assert values(found, "coolant_c") == [80.0, 81.0]
    assert found.ignored == ("note",)


@pytest.mark.parametrize("stamp", ["2026-02-03 08:00:00", "2026-02-03T09:00:00+01:00", "1770105600", "1770105600000"])
def test_times_in_other_forms(tmp_path: Path, stamp: str) -> None:
    assert read(tmp_path, f"time,speed_kmh\n{stamp},50\n").start == START


def test_rows_come_in_the_order_of_time_and_once(tmp_path: Path) -> None:
    found = read(tmp_path, "ts,speed_kmh\n1770105602,3\n1770105600,1\n1770105601,2\n1770105601,9\n")
    assert found.times_ms.tolist() == [0, 1000, 2000]
    assert values(found, "speed_kmh") == [1.0, 2.0, 3.0]


def test_start_and_period_where_there_are_no_times(tmp_path: Path) -> None:
    found = read(tmp_path, "speed_kmh\n1\n2\n3\n", start=START, period_s=0.5)
    assert found.times_ms.tolist() == [0, 500, 1000]
    with pytest.raises(Rejected, match="give --time, or --start and --period-s"):
        read(tmp_path, "speed_kmh\n1\n")


def test_a_mapping_names_columns_and_converts(tmp_path: Path) -> None:
    file = tmp_path / "map.toml"
    file.write_text(
        'time = "When"\n[columns]\n"Speed (mph)" = { signal = "speed_kmh", scale = 1.609344 }\n"T" = "coolant_c"\n',
        encoding="utf-8",
    )
    found = read(tmp_path, "When,Speed (mph),T,engine_rpm\n1770105600,10,70,800\n", load_mapping(file))
    assert values(found, "speed_kmh") == [16.0]
    assert values(found, "coolant_c") == [70.0]
    assert found.ignored == ("engine_rpm",)


@pytest.mark.parametrize(
    ("text", "told"),
    [("[columns]\nx = 'speed'\n", "no signal of the catalogue"), ("colums = 1\n", "colums"), ("= 1", "Invalid")],
)
def test_a_wrong_mapping_is_told(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "map.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        load_mapping(file)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ts,speed_kmh\n", "at least one row"),
        ("speed_kmh\n1\n", "no column of times"),
        ("ts,b\n1,2\n", "no column is a signal"),
        ("ts,speed_kmh\n1,fast\n", "line 2, column 2: expected a number, got 'fast'"),
        ("ts,speed_kmh\nnoon,1\n", "line 2, column 1: expected an instant, got 'noon'"),
        ("ts,speed_kmh,speed_kmh\n1,2,3\n", "two columns for speed_kmh"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(Rejected, match=told):
        read(tmp_path, text)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    file.write_bytes(b"ts,speed_kmh\n\xff\xfe,1\n")
    with pytest.raises(Rejected, match="not CSV in UTF-8"):
        load_recording(file, Mapping(), None, 1.0)
    file.write_bytes(gzip.compress(b"ts,speed_kmh\n1,2\n")[:-6])
    with pytest.raises(Rejected, match="not CSV"):
        load_recording(file, Mapping(), None, 1.0)


def test_what_cannot_be_is_marked_not_dropped_in_silence(tmp_path: Path) -> None:
    lines = "".join(f"{1770105600 + n},{300 if 2 <= n < 5 else 50}\n" for n in range(8))
    found = read(tmp_path, "ts,speed_kmh\n" + lines)
    assert int(found.present.sum()) == 5
    assert [(mark.first_ms, mark.last_ms, mark.kind) for mark in found.marks] == [(2000, 4000, "out_of_range")]


def test_the_same_content_is_the_same_recording(tmp_path: Path) -> None:
    text = "ts,speed_kmh\n1770105600,50\n"
    assert read(tmp_path, text).digest == read(tmp_path, text).digest
    assert read(tmp_path, text).digest != read(tmp_path, text + "1770105601,50\n").digest


def test_frames_hold_every_sample_once(tmp_path: Path) -> None:
    rows = [f"{1770105600 + n + (500 if n > 90 else 0)},{n % 60},{'' if n % 3 else 80}" for n in range(150)]
    found = read(tmp_path, "ts,speed_kmh,coolant_c\n" + "\n".join(rows) + "\n")
    decoded = [decode(data) for data in frames(found, STREAM)]
    assert [frame.header.seq for frame in decoded] == list(range(1, len(decoded) + 1))
    assert [len(frame.groups[0].times_ms) for frame in decoded] == [60, 31, 59]
    assert sum(frame.header.samples for frame in decoded) == 150 + 50
    assert decoded[0].meta.anchors[0].utc_ms == 1_770_105_600_000
    assert decoded[0].meta.events[0].kind == "recording_imported"
    times = np.concatenate([frame.groups[0].times_ms for frame in decoded])
    assert times.tolist() == found.times_ms.tolist()
    assert frames(found, STREAM) == frames(found, STREAM)


def test_a_minute_of_marks_alone_is_a_frame_too(tmp_path: Path) -> None:
    lines = "".join(f"{1770105600 + n},{999 if n >= 60 else 50}\n" for n in range(120))
    decoded = [decode(data) for data in frames(read(tmp_path, "ts,speed_kmh\n" + lines), STREAM)]
    assert [frame.header.samples for frame in decoded] == [60, 0]
    assert decoded[1].meta.marks[0].last_ms == 119_000


@pytest.mark.real_data
def test_a_real_drive_comes_back_value_by_value() -> None:
    path = require_data("obd", "carobd-toyota-etios", "drive1.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        titles = [title.strip() for title in file.readline().split(",")]
        written = [[float(text) for text in line.split(",") if text.strip()] for line in file]
    mapping = Mapping(columns=dict(zip(titles, CAROBD_SIGNALS, strict=True)))
    found = load_recording(path, mapping, START, 1.0)
    assert len(found.signals) == len(CAROBD_SIGNALS)
    decoded = [decode(data) for data in frames(found, STREAM)]
    assert sum(frame.header.samples for frame in decoded) == int(found.present.sum())
    assert found.present.mean() > 0.99
    for name in ("engine_rpm", "coolant_c", "throttle_pct"):
        column = CAROBD_SIGNALS.index(name)
        step = float(catalogue().by_name[name].factor)
        for got, row in zip(values(found, name), written, strict=True):
            assert got is None or abs(got - row[column]) <= step / 2 + 1e-6
