"""Readiness asks everything at once and says in words what is wrong; metrics show what the stages count."""

import asyncio

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from cloud.ops.health import Check, Probes
from cloud.ops.metrics import Gauge, StageCollector, StageCount
from sync_protocol.errors import Unavailable


async def good() -> str:
    return "answers"


async def away() -> str:
    raise Unavailable("nobody there")


async def stuck() -> str:
    await asyncio.Event().wait()
    return "never"


def test_all_good() -> None:
    readiness = asyncio.run(Probes({"store": good}, "1", CollectorRegistry()).readiness())
    assert readiness.is_ready
    assert readiness.checks == [Check("store", True, "answers")]


def test_one_away_and_one_stuck(monkeypatch) -> None:
    monkeypatch.setattr("cloud.ops.health.PATIENCE_S", 0.01)
    readiness = asyncio.run(Probes({"a": away, "b": good, "c": stuck}, "1", CollectorRegistry()).readiness())
    assert not readiness.is_ready
    assert [(check.is_ok, check.detail) for check in readiness.checks] == [
        (False, "nobody there"),
        (True, "answers"),
        (False, "no answer within 0.01 s"),
    ]


def test_metrics_of_stages() -> None:
    registry = CollectorRegistry()
    count = StageCount("ingest", 10, 6, 1, {"fork": 3}, {"restart": 2})
    registry.register(StageCollector(lambda: [count], lambda: [Gauge("milepost_lag_seconds", "Lag", 1.5)]))
    text = generate_latest(registry).decode()
    for line in (
        'milepost_received_total{stage="ingest"} 10.0',
        'milepost_sent_total{stage="ingest"} 6.0',
        'milepost_dropped_total{reason="fork",stage="ingest"} 3.0',
        'milepost_errors_total{kind="restart",stage="ingest"} 2.0',
        'milepost_queued{stage="ingest"} 1.0',
        "milepost_lag_seconds 1.5",
    ):
        assert line in text
