"""Sorting: closed slices become sorted, in bounded turns, and no answer changes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud.telemetry.history import history, track
from cloud.telemetry.sorting import LEVELS, sort_next
from cloud.telemetry.tiers import build
from tests.support.fleet import LocalPlane
from tests.support.frames import EPOCH_MS, Drive

EPOCH = datetime.fromtimestamp(EPOCH_MS / 1000, UTC).replace(tzinfo=None)
OVER = EPOCH + timedelta(hours=2)
"""A time at which every ten minutes of the drives are closed, and the hour is not."""
VANS = 4
SEQS = 20
ROWS = VANS * SEQS * 60


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[LocalPlane]:
    """Twenty minutes of some vans, their frames mixed as they come."""
    made = LocalPlane(tmp_path)
    drives = [Drive(van, rows=60) for van in range(VANS)]
    for seq in range(1, SEQS + 1):
        for van, drive in enumerate(drives):
            made.take([drive.frame(seq)], f"van-{van}")
    made.commit()
    yield made
    made.close()


def sort(plane: LocalPlane, now: datetime, *, rows: int = 1_000_000, levels: tuple[int, ...] = (0, 1)) -> list[int]:
    """Rows moved in each turn until nothing is left to do."""
    chosen = [LEVELS[i]._replace(rows=rows) for i in levels]
    moved: list[int] = []
    while (turn := plane.store.write_sync(lambda cursor: sort_next(cursor, now, chosen))) is not None:
        moved.append(turn)
    return moved


def runs(plane: LocalPlane, start: datetime, end: datetime) -> int:
    """How often the vehicle changes along the rows of a slice, as they lie in the table."""
    return int(
        str(
            plane.rows(
                "SELECT count(*) FROM (SELECT vehicle_id <> lag(vehicle_id) OVER (ORDER BY rowid) AS is_new"
                f" FROM tel_base WHERE ts >= '{start}' AND ts < '{end}') WHERE is_new"
            )[0][0]
        )
    )


def everything(plane: LocalPlane) -> object:
    hour_us = 3_600_000_000
    start_us = EPOCH_MS * 1000
    asked = [
        plane.store.read_sync(lambda c, v=van: history(c, 1, v, ["engine_rpm"], start_us, start_us + hour_us))
        for van in range(1, VANS + 1)
    ]
    ways = plane.store.read_sync(lambda c: track(c, 1, 1, start_us, start_us + hour_us))
    return asked, ways, plane.rows("SELECT * FROM tel ORDER BY ALL"), plane.rows("SELECT * FROM tel_1m ORDER BY ALL")


def test_ten_minutes_are_sorted_soon_and_no_answer_changes(plane: LocalPlane) -> None:
    before = everything(plane)
    assert runs(plane, EPOCH, OVER) >= VANS * SEQS - 1  # as they came: mixed
    assert sum(sort(plane, OVER, levels=(0,))) == ROWS
    start = EPOCH.replace(minute=EPOCH.minute // 10 * 10, second=0, microsecond=0)
    for begin in (start, start + timedelta(minutes=10), start + timedelta(minutes=20)):
        assert runs(plane, begin, begin + timedelta(minutes=10)) < VANS
    assert everything(plane) == before
    plane.verify()


def test_what_is_not_closed_waits(plane: LocalPlane) -> None:
    assert sort(plane, EPOCH + timedelta(minutes=12)) == []
    done = sum(sort(plane, EPOCH + timedelta(minutes=30)))
    assert 0 < done < ROWS
    assert sum(sort(plane, OVER)) == ROWS - done
    assert sort(plane, OVER) == []


def test_a_turn_is_bounded_and_goes_on_where_it_stopped(plane: LocalPlane) -> None:
    before = everything(plane)
    moved = sort(plane, OVER, rows=1_500, levels=(0,))
    assert max(moved) <= 1_500
    assert len(moved) >= 4
    assert sum(moved) == ROWS
    assert everything(plane) == before


def test_one_vehicle_with_more_rows_than_a_turn_is_moved_all_the_same(plane: LocalPlane) -> None:
    assert sum(sort(plane, OVER, rows=1, levels=(0,))) == ROWS


def test_the_hour_is_sorted_again_with_what_came_late(plane: LocalPlane) -> None:
    sort(plane, OVER)
    plane.feed([Drive(99, rows=60).frame(seq) for seq in range(1, 11)], "van-late")
    assert sort(plane, OVER) == []  # its ten minutes have had their turn
    assert sum(sort(plane, EPOCH + timedelta(hours=40))) == ROWS + 600
    assert sort(plane, EPOCH + timedelta(hours=41)) == []
    plane.verify()


@pytest.mark.parametrize(("level", "after"), [(2, timedelta(days=4)), (3, timedelta(hours=3))])
def test_the_minutes_tier_is_sorted_by_the_hour_and_by_the_day(plane: LocalPlane, level: int, after: timedelta) -> None:
    plane.store.write_sync(lambda cursor: build(cursor, before=datetime(2100, 1, 1)))
    before = everything(plane)
    minutes = plane.rows("SELECT count(*) FROM tel_1m")[0][0]
    assert sum(sort(plane, EPOCH + after, levels=(level,))) == minutes
    order = [row[0] for row in plane.rows("SELECT vehicle_id FROM tel_1m_base ORDER BY rowid")]
    assert order == sorted(order)  # type: ignore[type-var]  # ids
    assert everything(plane) == before
