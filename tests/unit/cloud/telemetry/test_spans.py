"""When devices sampled: the roll-up and the frames after it say together what all frames say."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
import random

import pytest

from cloud.config import TelemetryConfig
from cloud.telemetry.spans import GAP_MS, roll_up, spans
from cloud.telemetry.store import Cursor, TelemetryStore
from cloud.telemetry.timeline import Span

DAY = datetime(2026, 3, 1)
Frame = tuple[int, int, int, int, datetime]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TelemetryStore]:
    made = TelemetryStore(tmp_path / "t.duckdb", TelemetryConfig())
    made.open()
    yield made
    made.close()


def put(store: TelemetryStore, frames: list[Frame], *, samples: int = 10) -> None:
    """Frames of device n on stream n; every boot began at the day's start."""

    def write(cursor: Cursor) -> None:
        for device, boot, first_ms, last_ms, received in frames:
            cursor.execute(
                "INSERT INTO frames VALUES (1, ?, ?, 1, 1, ?, ?, ?, ?, 0, ?, ''::BLOB)",
                [device, device, boot, first_ms, last_ms, samples, received],
            )

    store.write_sync(write)


def anchor(store: TelemetryStore, stream: int, boot: int, utc_ms: int) -> None:
    store.write_sync(
        lambda cursor: cursor.execute("INSERT INTO anchors VALUES (?, ?, 1, 0, ?, 'gps', 20)", [stream, boot, utc_ms])
    )


def ask(store: TelemetryStore, device: int, since_ms: int = 0) -> list[Span]:
    return store.read_sync(lambda cursor: spans(cursor, 1, device, since_ms))


def expected(frames: list[Frame], device: int) -> list[Span]:
    out: list[Span] = []
    for first, last in sorted((f[2], f[3]) for f in frames if f[0] == device):
        if out and first - out[-1].last_ms <= GAP_MS:
            out[-1] = Span(out[-1].first_ms, max(last, out[-1].last_ms))
        else:
            out.append(Span(first, last))
    return out


def test_rolling_up_changes_no_answer(store: TelemetryStore) -> None:
    pick = random.Random(3)
    frames: list[Frame] = []
    for minute in range(5 * 60):
        for device in (1, 2, 3):
            if pick.random() < 0.7:
                # Some of them are a backlog of two hours ago.
                first = max(0, minute * 60_000 - (7_200_000 if pick.random() < 0.2 else 0))
                frames.append((device, 1, first, first + 50_000, DAY + timedelta(minutes=minute)))
    for device in (1, 2, 3):
        anchor(store, device, 1, 0)
    for at in range(0, len(frames), 100):
        put(store, frames[at : at + 100])
        for device in (1, 2, 3):
            assert ask(store, device) == expected(frames[: at + 100], device)
        while store.write_sync(roll_up):
            for device in (1, 2, 3):
                assert ask(store, device) == expected(frames[: at + 100], device)
    rows = store.read_sync(lambda c: c.execute("SELECT count(*) FROM spans").fetchall())
    assert 0 < rows[0][0] < len(frames)
    # All but the newest frames came before what a question still reads of them.
    store.write_sync(
        lambda c: c.execute("DELETE FROM frames WHERE received < ?", [DAY + timedelta(minutes=280)]).fetchall()
    )
    for device in (1, 2, 3):
        assert ask(store, device) == expected(frames, device)


def test_a_frame_that_comes_again_late_joins_what_it_touches(store: TelemetryStore) -> None:
    anchor(store, 1, 1, 0)
    apart: list[Frame] = [
        (1, 1, 0, 50_000, DAY),
        (1, 1, 150_000, 200_000, DAY + timedelta(minutes=3)),
        (1, 1, 9_000_000, 9_050_000, DAY + timedelta(minutes=150)),
    ]
    put(store, apart)
    while store.write_sync(roll_up):
        pass
    assert ask(store, 1) == [Span(0, 50_000), Span(150_000, 200_000), Span(9_000_000, 9_050_000)]
    put(store, [(1, 1, 60_000, 140_000, DAY + timedelta(minutes=170))])
    while store.write_sync(roll_up):
        pass
    assert ask(store, 1) == [Span(0, 200_000), Span(9_000_000, 9_050_000)]
    assert ask(store, 1, since_ms=300_000) == [Span(9_000_000, 9_050_000)]


def test_boots_are_joined_in_utc_and_those_without_time_are_left_out(store: TelemetryStore) -> None:
    put(store, [(1, 1, 0, 50_000, DAY), (1, 2, 0, 50_000, DAY), (1, 3, 0, 50_000, DAY)])
    put(store, [(1, 1, 500_000, 600_000, DAY)], samples=0)
    anchor(store, 1, 1, 1_000_000)
    anchor(store, 1, 2, 1_080_000)
    assert ask(store, 1) == [Span(1_000_000, 1_130_000)]
    assert ask(store, 2) == []
