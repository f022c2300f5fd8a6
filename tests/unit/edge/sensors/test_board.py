"""The board's temperature from a file as the kernel offers it; an hour passes in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from edge.config import DeviceConfig
from edge.sensors import board
from edge.sensors.board import BoardConfig, BoardSensor
from sync_protocol.config import load_config
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink
from tests.support.virtual_loop import VirtualLoop, run_virtual

BOARD = catalogue().by_name["board_c"]
MINUTE_MS = 60_000


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logger that an agent of another test in this process has neither cached nor silenced."""
    structlog.reset_defaults()
    monkeypatch.setattr(board, "log", structlog.get_logger())


@asynccontextmanager
async def measuring(sensor: BoardSensor) -> AsyncIterator[CollectingSink]:
    sink = CollectingSink()
    task = asyncio.create_task(sensor.run(sink))
    await asyncio.sleep(0.001)
    yield sink
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_one_row_at_the_start_and_one_a_minute(tmp_path: Path) -> None:
    zone = tmp_path / "temp"
    zone.write_text("48312\n")

    async def scene(loop: VirtualLoop) -> None:
        sensor = BoardSensor(BoardConfig(path=str(zone)), loop.boot_ms)
        start_ms = loop.boot_ms()
        async with measuring(sensor) as sink:
            assert sink.rows == [("board", start_ms, {BOARD.id: 48})]
            assert (sensor.state().link, sensor.state().detail) == ("open", "48 °C")
            zone.write_text("-17500")
            await asyncio.sleep(3600)
            assert len(sink.rows) == 61
            assert all(at_ms % MINUTE_MS == 0 for _, at_ms, _ in sink.rows[1:])
            assert BOARD.value(sink.last(BOARD.id) or 0) == pytest.approx(-17.5, abs=0.5)
            assert sink.marks == []
        assert sensor.state().link == "closed"

    run_virtual(scene)


def test_a_machine_without_one_says_so_once(tmp_path: Path) -> None:
    zone = tmp_path / "zone" / "temp"

    async def scene(loop: VirtualLoop) -> None:
        sensor = BoardSensor(BoardConfig(path=str(zone)), loop.boot_ms)
        with structlog.testing.capture_logs() as told:
            async with measuring(sensor) as sink:
                await asyncio.sleep(600)
                assert (sink.rows, sink.marks) == ([], [])
                assert (sensor.state().link, sensor.state().detail) == ("closed", "No such file or directory")
                zone.parent.mkdir()
                zone.write_text("50000")  # a driver that was loaded late
                await asyncio.sleep(60)
                assert sink.last(BOARD.id) == 50
        assert [line["event"] for line in told] == ["board_absent"]

    run_virtual(scene)


def test_one_that_fails_is_marked_and_comes_back(tmp_path: Path) -> None:
    zone = tmp_path / "temp"
    zone.write_text("50000")

    async def scene(loop: VirtualLoop) -> None:
        sensor = BoardSensor(BoardConfig(path=str(zone)), loop.boot_ms)
        with structlog.testing.capture_logs() as told:
            async with measuring(sensor) as sink:
                zone.write_text("N/A")
                await asyncio.sleep(180)
                assert (sensor.state().link, len(sink.rows)) == ("failing", 1)
                ((ids, at_ms, kind),) = sink.marks
                assert (ids, at_ms % MINUTE_MS, kind) == ((BOARD.id,), 0, "no_data")
                zone.write_text("51000")
                await asyncio.sleep(60)
                assert (sensor.state().link, sink.last(BOARD.id)) == ("open", 51)
        assert [line["event"] for line in told] == ["board_lost", "board_found"]

    run_virtual(scene)


@pytest.mark.parametrize("text", ["-273200", "125501", "99999999999999999999"])
def test_what_no_board_can_have_is_marked_and_not_sent(tmp_path: Path, text: str) -> None:
    zone = tmp_path / "temp"
    zone.write_text(text)

    async def scene(loop: VirtualLoop) -> None:
        async with measuring(BoardSensor(BoardConfig(path=str(zone)), loop.boot_ms)) as sink:
            assert (sink.rows, [kind for _, _, kind in sink.marks]) == ([], ["out_of_range"])

    run_virtual(scene)


def test_the_path_is_configured(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    path.write_text('tenant = "a"\ndevice = "v"\n[board]\npath = "/sys/class/hwmon/hwmon0/temp1_input"\n')
    config = load_config(DeviceConfig, path, {"MILEPOST__BOARD__ENABLED": "false"})
    assert config.board == BoardConfig(enabled=False, path="/sys/class/hwmon/hwmon0/temp1_input")
