"""Requests of a maker's own, from a profile: asked of one computer, believed only as far as the answer fits."""

from collections.abc import Callable, Sequence

import structlog

from edge.sensors.base import SensorSink
from edge.sensors.obd.errors import AdapterSilent, BadAnswer, ObdError
from edge.sensors.obd.profile import MakerRequest
from edge.sensors.obd.schedule import Group
from edge.sensors.obd.vehicle import REQUEST_ERRORS, Vehicle

log = structlog.get_logger(__name__)

_FAILURES_TO_DROP = 3


def maker_data(request: MakerRequest, ecu: int, answer: bytes) -> bytes:
    """The bytes behind the repeated identifier. `BadAnswer` unless computer, identifier and length are as foretold."""
    asked = bytes.fromhex(request.request)
    head = bytes([asked[0] + 0x40]) + asked[1:]
    if ecu != request.answered_by or answer[: len(head)] != head or len(answer) != len(head) + request.size_bytes:
        raise BadAnswer(f"not the answer to {request.request} that the profile foretells")
    return answer[len(head) :]


class MakerReading:
    """A profile's requests during one stay of a vehicle. Each that fails three times in a row is not asked again."""

    def __init__(
        self,
        requests: Sequence[MakerRequest],
        vehicle: Vehicle,
        clock: Callable[[], int],
        on_useless: Callable[[], None],
    ) -> None:
        """`on_useless` is called once all were given up and none ever answered."""
        self._on_useless = on_useless
        self._vehicle = vehicle
        self._clock = clock
        self._failures = dict.fromkeys(requests, 0)
        self._left = list(requests)
        self._has_answered = False
        self._groups: list[tuple[Group, list[MakerRequest]]] = []
        for period_s in sorted({request.period_s for request in requests}):
            group = Group(period_s, ())
            group.name = f"maker_{period_s:g}s"
            self._groups.append((group, [request for request in requests if request.period_s == period_s]))

    @property
    def signal_count(self) -> int:
        """How many signals are read."""
        return sum(len(request.values) for request in self._left)

    def next_ms(self, now_ms: int) -> int | None:
        """When something is due next; None when nothing is left to ask."""
        return min((group.next_ms(now_ms) for group, _ in self._groups), default=None) if self._left else None

    async def read_due(self, sink: SensorSink) -> int:
        """Ask what is due now; the number of rows made."""
        rows = 0
        for group, requests in self._groups:
            wanted = [request for request in requests if request in self._left]
            instant_ms = group.take_due(self._clock()) if wanted else None
            if instant_ms is None:
                continue
            values: dict[int, int] = {}
            for request in wanted:
                values.update(await self._read(request, instant_ms, sink))
            if values:
                sink.row(group.name, instant_ms, values)
                rows += 1
        return rows

    async def _read(self, request: MakerRequest, instant_ms: int, sink: SensorSink) -> dict[int, int]:
        try:
            found = await self._vehicle.ask_one(request.request, request.to)
            data = maker_data(request, found.ecu, found.data)
        except (*REQUEST_ERRORS, AdapterSilent) as err:
            self._failed(request, err)
            sink.mark([signal.id for signal in request.signals], instant_ms, "bus_error")
            return {}
        self._has_answered = True
        self._failures[request] = 0
        raws = {signal.id: value.raw(data) for signal, value in zip(request.signals, request.values, strict=True)}
        if lacking := [signal_id for signal_id, raw in raws.items() if raw is None]:
            sink.mark(lacking, instant_ms, "invalid")
        return {signal_id: raw for signal_id, raw in raws.items() if raw is not None}

    def _failed(self, request: MakerRequest, error: ObdError) -> None:
        self._failures[request] += 1
        if self._failures[request] >= _FAILURES_TO_DROP:
            self._left.remove(request)
            log.info("maker_request_dropped", request=request.request, to=request.to, reason=str(error))
            if not self._left and not self._has_answered:
                self._on_useless()
