"""What clients may write, and what they are told when it is wrong."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.http.parameters import EventKey, PageKey, instant, read_cursor, signals, span, write_cursor
from cloud.http.problem import InvalidInput
from sync_protocol.signals import catalogue

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "text", ["2026-03-01T12:00:00Z", "2026-03-01T13:00:00+01:00", "2026-03-01T13:00:00 01:00", " 2026-03-01T12:00Z "]
)
def test_instants_with_a_zone(text: str) -> None:
    assert instant("from", text) == NOW


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-01", "2026-03-01T12:00:00", "1772366400"])
def test_other_times_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^from: expected an instant such as 2026-03-01T12:00:00Z"):
        instant("from", text)


def test_spans_have_defaults() -> None:
    assert span(None, None, now=NOW, default=HOUR) == (NOW - HOUR, NOW)
    assert span(None, "2026-03-01T10:00:00Z", now=NOW, default=HOUR).start == NOW - 3 * HOUR
    assert span("2026-03-01T11:30:00Z", None, now=NOW, default=HOUR) == (NOW - HOUR / 2, NOW)


def test_a_span_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(InvalidInput, match="from: expected an instant before `to`"):
        span("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z", now=NOW, default=HOUR)


def test_signals_keep_their_order_and_come_once() -> None:
    assert [s.name for s in signals(catalogue(), "speed_kmh, coolant_c,speed_kmh")] == ["speed_kmh", "coolant_c"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("speed", "did you mean speed_kmh"),
        ("zzzzzz", "/api/v1/signals lists them"),
        (" , ", "separated by commas"),
        (",".join(s.name for s in catalogue().signals), "at most 24"),
    ],
)
def test_wrong_signals_are_told_what_to_write(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        signals(catalogue(), text)


def test_cursors_come_back() -> None:
    assert read_cursor(write_cursor(PageKey("Käfer 1", 7)), PageKey) == PageKey("Käfer 1", 7)
    assert read_cursor(write_cursor(EventKey(1, 2, 3, 4)), EventKey) == EventKey(1, 2, 3, 4)
    assert read_cursor(None, PageKey) is None


@pytest.mark.parametrize("text", ["", "a", "%%%", "bnVsbA", write_cursor(EventKey(1, 2, 3, 4))])
def test_other_cursors_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cursor: expected a next_cursor"):
        read_cursor(text, PageKey)
