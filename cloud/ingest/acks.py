"""Acknowledgements to devices, gathered: every one costs the vehicle bytes."""

from typing import NamedTuple

from cloud.facts import DeviceRef
from sync_protocol import subjects
from sync_protocol.ledger import Ranges
from sync_protocol.messages import Ack, encode_down


class Acked(NamedTuple):
    """A frame that is committed (or durable in quarantine), or a fork that never will be."""

    device: DeviceRef
    stream_id: bytes
    seq: int
    is_fork: bool = False


class _Waiting:
    __slots__ = ("device", "forked", "ranges", "since_s")

    def __init__(self, device: DeviceRef, since_s: float) -> None:
        self.device = device
        self.ranges = Ranges()
        self.forked: set[int] = set()
        self.since_s = since_s


class Acks:
    """Gathers by stream until `ack_frames` are there or the first has waited `ack_delay_s`."""

    def __init__(self, ack_frames: int, ack_delay_s: float) -> None:
        self._frames = ack_frames
        self._delay_s = ack_delay_s
        self._waiting: dict[bytes, _Waiting] = {}

    def add(self, acked: list[Acked], now_s: float) -> None:
        """Take in what one commit made safe."""
        for device, stream_id, seq, is_fork in acked:
            waiting = self._waiting.get(stream_id)
            if waiting is None:
                waiting = self._waiting[stream_id] = _Waiting(device, now_s)
            if is_fork:
                waiting.forked.add(seq)
            else:
                waiting.ranges.add(seq)

    def due(self, now_s: float, is_final: bool = False) -> list[tuple[str, bytes]]:
        """(subject, message) of every acknowledgement that shall wait no longer."""
        out = []
        for stream_id, waiting in list(self._waiting.items()):
            is_old = now_s - waiting.since_s >= self._delay_s
            if is_final or is_old or waiting.forked or waiting.ranges.count() >= self._frames:
                del self._waiting[stream_id]
                ack = Ack(stream_id, waiting.ranges.pairs(), tuple(sorted(waiting.forked)))
                out.append((subjects.down(waiting.device.tenant, waiting.device.name), encode_down(ack)))
        return out
