"""Bytes by kind over days, months, restarts and clocks that jump."""

from datetime import UTC, datetime

import pytest

from edge.uplink.tcp_info import WireBytes
from edge.uplink.traffic import Bytes, Traffic

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def utc(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def total(traffic: Traffic) -> tuple[int, int]:
    return sum(b.up for b in traffic.month.values()), sum(b.down for b in traffic.month.values())


def test_kinds_add_up_to_what_the_socket_says() -> None:
    traffic = Traffic(1)
    traffic.connected()
    traffic.count("live", up=300)
    traffic.count("ack", down=40)
    traffic.measured(WireBytes(500, 200))
    assert total(traffic) == (500, 200)
    traffic.count("live", up=300)
    traffic.measured(WireBytes(600, 200))  # the rest is still in the buffer
    assert total(traffic) == (600, 200)
    traffic.measured(WireBytes(1000, 250))
    assert total(traffic) == (1000, 250)
    assert traffic.connection == {"live": Bytes(600, 0), "ack": Bytes(0, 40), "overhead": Bytes(400, 210)}
    traffic.measured(WireBytes(1000, 330))  # the kernel has an acknowledgement that was not read yet
    traffic.count("ack", down=50)
    traffic.measured(WireBytes(1000, 330))
    assert traffic.connection == {"live": Bytes(600, 0), "ack": Bytes(0, 90), "overhead": Bytes(400, 240)}
    traffic.connected()
    traffic.count("hello", up=90)
    traffic.measured(WireBytes(80, 60))
    assert total(traffic) == (1090, 330), "not on the wire yet, and no overhead to give back"
    traffic.measured(WireBytes(170, 60))
    assert total(traffic) == (1170, 390)
    assert traffic.connection == {"hello": Bytes(90, 0), "overhead": Bytes(80, 60)}
    traffic.measured(None)
    assert traffic.used_bytes() == 1560


def test_a_restart_forgets_nothing_and_rubbish_counts_as_nothing() -> None:
    traffic = Traffic(5)
    traffic.now(utc("2026-11-24T10:00"))
    traffic.count("event", up=7, down=3)
    traffic.lift()
    assert traffic.tell_once("budget_reached")
    again = Traffic(5, traffic.to_keep())
    assert again.month == {"event": Bytes(7, 3)} == again.today
    assert again.is_lifted
    assert not again.tell_once("budget_reached")
    assert again.month_began() == datetime(2026, 11, 5, tzinfo=UTC)
    assert again.connection == {}
    for rubbish in ("", "{", "[]", '{"month": "x"}'):
        assert Traffic(5, rubbish).used_bytes() == 0


@pytest.mark.parametrize(
    ("day", "when", "began"),
    [
        (1, "2026-11-01T00:00", "2026-11-01"),
        (15, "2026-11-14T23:59", "2026-10-15"),
        (15, "2026-11-15T00:00", "2026-11-15"),
        (28, "2026-03-01T12:00", "2026-02-28"),
        (28, "2026-01-02T12:00", "2025-12-28"),
    ],
)
def test_the_sims_month(day: int, when: str, began: str) -> None:
    traffic = Traffic(day)
    traffic.now(utc(when))
    found = traffic.month_began()
    assert found is not None
    assert found.date().isoformat() == began


def test_a_month_never_begins_twice_however_the_clock_jumps() -> None:
    traffic = Traffic(1)
    traffic.count("live", up=100)
    assert not traffic.now(utc("2026-11-30T23:00")), "the first clock begins nothing: what was counted stays"
    assert total(traffic) == (100, 0)
    assert traffic.now(utc("2026-12-01T00:01"))
    traffic.count("live", up=10)
    traffic.lift()
    assert not traffic.now(utc("2026-11-30T23:59"))
    assert not traffic.now(utc("2026-12-01T00:02"))
    assert total(traffic) == (10, 0)
    assert traffic.is_lifted
    assert traffic.now(utc("2027-01-01T00:00"))
    assert (total(traffic), traffic.is_lifted) == ((0, 0), False)


def test_the_forecast_goes_on_as_the_last_days_did() -> None:
    traffic = Traffic(1)
    assert traffic.forecast_bytes() is None
    start = utc("2026-11-01T00:00")
    traffic.now(start + HOUR_MS)
    assert traffic.forecast_bytes() is None, "an hour says nothing"
    for day in range(10):
        traffic.now(start + day * DAY_MS + 1)
        traffic.count("live", up=1000)
    traffic.now(start + 10 * DAY_MS)
    assert traffic.forecast_bytes() == 30_000
    for day in range(10, 20):
        traffic.now(start + day * DAY_MS)
        traffic.count("live", up=3000)
    traffic.now(start + 20 * DAY_MS)
    forecast = traffic.forecast_bytes()
    assert forecast is not None
    assert 40_000 + 10 * 2000 < forecast < 40_000 + 10 * 3000, "recent days weigh more"
