"""Silences: gaps between stretches of samples, explained by the device alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud.fleet.neighbours import EventRow, Span
from cloud.fleet.silences import silences

START = datetime(2026, 5, 1, 8, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)
MINUTE_MS = 60_000
FIRST = Span(START_MS, START_MS + 10 * MINUTE_MS)
SECOND = Span(START_MS + 30 * MINUTE_MS, START_MS + 40 * MINUTE_MS)
SOON = START + timedelta(minutes=40, seconds=20)


def event(kind: str, minute: float, **data: Any) -> EventRow:
    return EventRow(START + timedelta(minutes=minute), kind, data, 1, 1, 1, 0)


def reason(*events: EventRow) -> str:
    (only,) = silences([FIRST, SECOND], events, SOON)
    assert (only.start, only.end) == (START + timedelta(minutes=10), START + timedelta(minutes=30))
    return only.reason


def test_no_samples_no_silences() -> None:
    assert silences([], [], START) == []
    assert silences([FIRST], [], START + timedelta(minutes=10, seconds=59)) == []


@pytest.mark.parametrize("word", ["shutdown", "killed", "power", "updating"])
def test_the_next_start_tells_how_the_run_before_ended(word: str) -> None:
    assert reason(event("agent_started", 30.1, previous_end=word)) == word
    assert reason(event("agent_started", 30.1, reason=word)) == word


def test_without_a_word_it_is_unknown() -> None:
    assert reason() == "unknown"
    assert reason(event("agent_started", 30.0, previous_end="odd")) == "unknown"
    assert reason(event("obd_lost", 10.0, reason="adapter unplugged")) == "unknown"


def test_an_event_elsewhere_explains_nothing() -> None:
    assert reason(event("agent_started", 5.0, previous_end="killed")) == "unknown"
    assert reason(event("agent_started", 35.0, previous_end="killed")) == "unknown"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (event("obd_lost", 10.0, reason="ignition_off"), "ignition_off"),
        (event("agent_stopping", 10.0), "shutdown"),
        (event("agent_stopping", 10.0, reason="updating"), "updating"),
        (event("agent_stopping", 10.0, reason="private"), "private"),
    ],
)
def test_reasons_given_beforehand(given: EventRow, told: str) -> None:
    assert reason(given) == told


def test_how_it_ended_counts_before_what_happened_on_the_way() -> None:
    assert reason(
        event("obd_lost", 10.0, reason="ignition_off"), event("agent_started", 30.0, previous_end="power")
    ) == ("power")


def test_a_silence_that_lasts_is_open_and_first() -> None:
    found = silences([FIRST, SECOND], [event("agent_stopping", 40.0)], START + timedelta(hours=2))
    assert [(s.end is None, s.reason) for s in found] == [(True, "shutdown"), (False, "unknown")]
    assert found[0].start == START + timedelta(minutes=40)
