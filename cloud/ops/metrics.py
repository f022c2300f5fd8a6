"""Prometheus metrics of every stage, read at the moment they are asked for. One registry a service, no global."""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class StageCount(msgspec.Struct, frozen=True):
    """What one stage has counted. `received == sent + dropped + queued`; errors are counted beside that."""

    stage: str
    received: int
    sent: int
    queued: int = 0
    dropped: Mapping[str, int] = msgspec.field(default_factory=dict)
    errors: Mapping[str, int] = msgspec.field(default_factory=dict)


class Gauge(msgspec.Struct, frozen=True):
    """A number that goes up and down."""

    name: str
    text: str
    value: float


class StageCollector(Collector):
    """Asks the stages for their counts whenever Prometheus asks us."""

    def __init__(
        self, stages: Callable[[], Iterable[StageCount]], gauges: Callable[[], Iterable[Gauge]] | None = None
    ) -> None:
        self._stages = stages
        self._gauges = gauges or (lambda: ())

    def collect(self) -> Iterable[Metric]:
        """All families."""
        received = CounterMetricFamily("milepost_received", "Taken in by a stage", labels=["stage"])
        sent = CounterMetricFamily("milepost_sent", "Passed on by a stage", labels=["stage"])
        dropped = CounterMetricFamily("milepost_dropped", "Not passed on, by reason", labels=["stage", "reason"])
        errors = CounterMetricFamily("milepost_errors", "Errors by kind", labels=["stage", "kind"])
        queued = GaugeMetricFamily("milepost_queued", "Taken in, not yet passed on", labels=["stage"])
        for count in self._stages():
            received.add_metric([count.stage], count.received)
            sent.add_metric([count.stage], count.sent)
            queued.add_metric([count.stage], count.queued)
            for reason, number in count.dropped.items():
                dropped.add_metric([count.stage, reason], number)
            for kind, number in count.errors.items():
                errors.add_metric([count.stage, kind], number)
        yield from (received, sent, dropped, errors, queued)
        for gauge in self._gauges():
            yield GaugeMetricFamily(gauge.name, gauge.text, value=gauge.value)
