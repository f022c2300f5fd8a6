"""Acknowledgements to devices, gathered: every one costs the vehicle bytes."""

from collections import Counter
from typing import NamedTuple

from cloud.facts import DeviceRef
from sync_protocol import subjects
from sync_protocol.messages import Ack, AckRange, encode_down

_MANY = 10


class Acked(NamedTuple):
    """A frame that is committed (or durable in quarantine), or a fork that never will be."""

    device: DeviceRef
    stream_id: bytes
    seq: int
    crc: int
    is_fork: bool = False


class _Waiting:
    __slots__ = ("crcs", "device", "forked", "since_s")

    def __init__(self, device: DeviceRef, since_s: float) -> None:
        self.device = device
        self.crcs: dict[int, int] = {}
        self.forked: set[tuple[int, int]] = set()
        self.since_s = since_s


class Acks:
    """Gathers by stream until the first has waited `ack_delay_s`.

    At once: `ack_frames` of one commit or ten times as many at all, which is a backlog; a fork; a device that asks.
    """

    def __init__(self, ack_frames: int, ack_delay_s: float) -> None:
        self._frames = ack_frames
        self._delay_s = ack_delay_s
        self._waiting: dict[bytes, _Waiting] = {}  # the one that has waited longest is first
        self._ready: dict[bytes, None] = {}

    def add(self, acked: list[Acked], now_s: float) -> None:
        """Take in what one commit made safe."""
        came = Counter(one.stream_id for one in acked)
        for device, stream_id, seq, crc, is_fork in acked:
            waiting = self._waiting.get(stream_id)
            if waiting is None:
                waiting = self._waiting[stream_id] = _Waiting(device, now_s)
            if is_fork:
                waiting.forked.add((seq, crc))
                self._ready[stream_id] = None
            else:
                waiting.crcs[seq] = crc
                if came[stream_id] >= self._frames or len(waiting.crcs) >= _MANY * self._frames:
                    self._ready[stream_id] = None

    def hurry(self, down_subjects: frozenset[str]) -> None:
        """The devices that listen to these subjects wait for an answer: let nothing of theirs wait longer."""
        for stream_id, waiting in self._waiting.items():
            if subjects.down(waiting.device.tenant, waiting.device.name) in down_subjects:
                self._ready[stream_id] = None

    def due(self, now_s: float, is_final: bool = False) -> list[tuple[str, bytes]]:
        """(subject, message) of every acknowledgement that shall wait no longer."""
        due, self._ready = self._ready, {}
        for stream_id, waiting in self._waiting.items():
            if not is_final and now_s - waiting.since_s < self._delay_s:
                break
            due[stream_id] = None
        out = []
        for stream_id in due:
            waiting = self._waiting.pop(stream_id)
            ack = Ack(stream_id, _ranges(waiting.crcs), tuple(sorted(waiting.forked)))
            out.append((subjects.down(waiting.device.tenant, waiting.device.name), encode_down(ack)))
        return out


def _ranges(crcs: dict[int, int]) -> tuple[AckRange, ...]:
    """Runs of numbers, each with the XOR of its frames' checksums."""
    out: list[AckRange] = []
    for seq, crc in sorted(crcs.items()):
        if out and out[-1][1] + 1 == seq:
            out[-1] = (out[-1][0], seq, out[-1][2] ^ crc)
        else:
            out.append((seq, seq, crc))
    return tuple(out)
