"""What the uplink needs of its neighbours, and nothing more."""

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from sync_protocol.messages import AckRange, AnchorSource, SeqRange, StreamAnswer, StreamState

FrameKey = tuple[bytes, int]
"""(stream_id, seq)."""


class ToSend(Protocol):
    """A committed frame."""

    @property
    def stream_id(self) -> bytes: ...
    @property
    def seq(self) -> int: ...
    @property
    def has_events(self) -> bool: ...
    @property
    def body(self) -> bytes: ...


class Change(Protocol):
    """What an answer changed: how many frames, which were forked, and why a new stream was started, if one was."""

    @property
    def acked(self) -> int: ...
    @property
    def again(self) -> int: ...
    @property
    def forked(self) -> Sequence[int]: ...
    @property
    def new_stream(self) -> str | None: ...


class Source(Protocol):
    """Where frames come from, and who must know what the cloud says of them. See `edge.outbox.outbox.Outbox`."""

    async def pick(
        self, most: int, busy: Set[FrameKey], *, only_events: bool = False, wanted: Sequence[FrameKey] = ()
    ) -> Sequence[ToSend]:
        """The next frames to send that are not in `busy`, in the order of sending.

        `only_events` leaves those without events where they are. `wanted` come after the newest in any case.
        """

    async def ack(self, stream_id: bytes, ranges: Sequence[AckRange]) -> Sequence[SeqRange]:
        """The cloud has these frames. Returns the ranges whose checksums are those of our frames."""

    async def fork(self, stream_id: bytes, forked: Sequence[tuple[int, int]]) -> Change:
        """The cloud has others under the numbers of these frames (seq, checksum)."""

    async def hello_streams(self) -> tuple[StreamState, ...]:
        """The streams to speak of in a hello."""

    async def answer(
        self,
        asked: Sequence[StreamState],
        answers: Sequence[StreamAnswer],
        proven: Mapping[bytes, Sequence[SeqRange]],
    ) -> Change:
        """What the cloud has of the streams it was asked about."""


class Vehicle(Protocol):
    """What the hello says besides streams, and who obeys what comes down."""

    def utc(self, boot_ms: int) -> tuple[int | None, AnchorSource | None]:
        """UTC at an instant as far as the device knows, and from whom."""

    def cloud_time(self, boot_ms: int, utc_ms: int, uncertainty_ms: int) -> None:
        """The cloud has said what time it is."""

    def watch(self, lease_s: float) -> None:
        """Somebody looks at the vehicle for so long."""
