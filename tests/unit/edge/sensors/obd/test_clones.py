"""Adapters that are not what they say: what they can do is tried, never believed."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from edge.sensors.base import SensorState
from edge.sensors.obd.config import ObdConfig
from edge.sensors.obd.sensor import ObdSensor
from sync_protocol.signals import catalogue
from tests.support.elm_fakes import CollectingSink
from tests.support.loop_elm import LoopElm
from tests.support.virtual_loop import VirtualLoop, run_virtual

SPEED = catalogue().by_name["speed_kmh"].id
SETTINGS = {"E1", "M0", "L0", "S0", "AT1"}


def spaced(line: str) -> str:
    return " ".join([line[:3], *(line[n : n + 2] for n in range(3, len(line), 2))]) + " "


class Clone(LoopElm):
    """Says that it is new. `spoil` changes each answer; commands that come too soon after a prompt lose their head."""

    def __init__(self, spoil: Callable[[str], str] = lambda text: text, *, needs_s: float = 0.0) -> None:
        super().__init__()
        self.version = "ELM327 v2.1"
        self._spoil = spoil
        self._needs_s = needs_s
        self._prompted_s = -1.0

    def _on_line(self, line: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        super()._on_line(line[1:] if now_s - self._prompted_s < self._needs_s else line)
        self._prompted_s = now_s

    def reply(self, command: str, echo: bytes) -> bytes:
        if command.startswith("AT") or all(digit in "0123456789ABCDEF" for digit in command):
            return self._spoil(super().reply(command, echo).decode("latin-1")).encode("latin-1")
        return echo + b"?\r\r>"


async def _run(loop: VirtualLoop, elm: LoopElm, for_s: float, **changes: object) -> tuple[SensorState, CollectingSink]:
    """The sensor's state after a while; every speed it gave was right."""
    sink = CollectingSink()
    sensor = ObdSensor(msgspec.convert({"port": "/dev/obd", **changes}, ObdConfig), loop.boot_ms, elm.open)
    task = asyncio.create_task(sensor.run(sink))
    await asyncio.sleep(for_s)
    state = sensor.state()
    task.cancel()
    await asyncio.wait([task])
    assert {values[SPEED] for _, _, values in sink.rows if SPEED in values} <= {50}
    return state, sink


async def measured(loop: VirtualLoop, elm: LoopElm, for_s: float = 20.0, **changes: object) -> None:
    state, sink = await _run(loop, elm, for_s, **changes)
    assert state.link == "open", state.detail
    assert sum(SPEED in values for _, _, values in sink.rows) > 5


async def useless(loop: VirtualLoop, elm: LoopElm, **changes: object) -> tuple[str, list[str]]:
    """What is said of it after five minutes, and the events."""
    state, sink = await _run(loop, elm, 300.0, **changes)
    assert state.link in ("failing", "opening")
    assert not any(SPEED in values for _, _, values in sink.rows)
    return state.detail, sink.kinds()


@pytest.mark.parametrize(
    "spoil",
    [
        str.lower,
        lambda text: text.replace("\r", "\r\n"),
        lambda text: "\r".join(spaced(line) if line.startswith("7E8") else line for line in text.split("\r")),
        lambda text: text.replace("7E8", "\r\r7E8"),
        lambda text: "\0" + text.replace("\r", "\r\0"),
        lambda text: text.replace("\r\r>", "\r>"),
        lambda text: text.replace("OK", "ok ").replace("14.1V", "14.1"),
    ],
    ids=["small letters", "line feeds", "spaces", "empty lines", "NUL bytes", "one line end", "sloppy OK and voltage"],
)
def test_other_ways_to_write_the_same(spoil: Callable[[str], str]) -> None:
    async def test(loop: VirtualLoop) -> None:
        await measured(loop, Clone(spoil))

    run_virtual(test)


@pytest.mark.parametrize("unknown", [{"AT1"}, {"S0"}, {"M0"}, {"L0"}, SETTINGS - {"E1"}])
def test_what_it_does_not_know_it_does_without(unknown: set[str]) -> None:
    async def test(loop: VirtualLoop) -> None:
        elm = Clone()
        elm.unknown = unknown
        await measured(loop, elm)

    run_virtual(test)


@pytest.mark.parametrize(("multi", "count"), [(False, True), (True, False), (False, False)])
def test_several_pids_and_the_frame_count_are_tried_whatever_the_version(multi: bool, count: bool) -> None:
    async def test(loop: VirtualLoop) -> None:
        elm = Clone()
        elm.has_multi_pid, elm.has_frame_count = multi, count
        await measured(loop, elm)
        later = [command for at_s, command in elm.sent if at_s > 15 and command.startswith("01")]
        assert any(len(command) > 5 for command in later) is multi
        assert any(len(command) % 2 for command in later) is count

    run_virtual(test)


def test_an_echo_that_cannot_be_switched_and_one_that_is_never_there() -> None:
    async def test(loop: VirtualLoop) -> None:
        for has_echo in (True, False):
            elm = Clone()
            elm.has_echo, elm.unknown = has_echo, {"E1", "E0"}
            await measured(loop, elm)

    run_virtual(test)


@pytest.mark.parametrize("lost", [1, 2, 8])
def test_the_end_of_each_line_is_lost(lost: int) -> None:
    """A digit, a byte, or more than the filler. The first answer may get through; a connection it is not."""

    async def test(loop: VirtualLoop) -> None:
        elm = Clone(
            lambda text: "\r".join(line[:-lost] if line.startswith("7E8") else line for line in text.split("\r"))
        )
        detail, events = await useless(loop, elm)
        assert any(words in detail for words in ("single frame", "not a line", "bytes in a CAN frame", "no value yet"))
        assert len(events) < 50  # some answers of the right length may get through, ever more rarely asked for

    run_virtual(test)


class Headerless(Clone):
    """Promises headers and gives none."""

    def _at(self, command: str) -> list[str]:
        return ["OK"] if command == "H1" else super()._at(command)


def test_headers_that_are_promised_and_not_given() -> None:
    async def test(loop: VirtualLoop) -> None:
        detail, events = await useless(loop, Headerless())
        assert "not a line of ISO 15765" in detail
        assert not events

    run_virtual(test)


def test_one_that_needs_a_pause_between_two_commands_gets_it() -> None:
    async def test(loop: VirtualLoop) -> None:
        elm = Clone(needs_s=0.03)
        await measured(loop, elm)
        assert elm.asked("ATZ").count("ATZ") <= 3

    run_virtual(test)


@pytest.mark.parametrize("baud", [9_600, 57_600, 115_200, 230_400])
def test_a_line_that_answers_at_another_speed_only(baud: int) -> None:
    async def test(loop: VirtualLoop) -> None:
        elm = Clone()
        elm.good_baud = baud
        await measured(loop, elm, for_s=90)
        assert elm.opened[-1] == baud
        assert not elm.asked("ATBR")  # the speed of the line is never changed

    run_virtual(test)


def test_a_given_speed_is_the_only_one_tried() -> None:
    async def test(loop: VirtualLoop) -> None:
        elm = Clone()
        elm.good_baud = 9_600
        await useless(loop, elm, baud=38_400)
        assert set(elm.opened) == {38_400}

    run_virtual(test)
