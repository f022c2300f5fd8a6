"""The device's side of the ledger, for `milepost sync`: where every frame of every stream is."""

from collections.abc import Iterable
from pathlib import Path
import sqlite3

import msgspec

from edge.outbox.opening import load_streams
from edge.outbox.schema import connect_read_only
from edge.outbox.streams import Stream, totals_of
from sync_protocol.errors import NotFound, Unavailable
from sync_protocol.messages import GapReason, SeqRange


class LostRange(msgspec.Struct, frozen=True):
    """Frames that left this device without an acknowledgement. `is_told`: the cloud has written it down."""

    first: int
    last: int
    reason: GapReason
    is_told: bool


class StreamView(msgspec.Struct, frozen=True):
    """One stream. Ranges are closed; `held` are on the disk, `pending` those of them still to be acknowledged."""

    stream_id: str
    is_active: bool
    cause: str
    last_seq: int
    acked: tuple[SeqRange, ...]
    pending: tuple[SeqRange, ...]
    held: tuple[SeqRange, ...]
    forked: tuple[SeqRange, ...]
    lost: tuple[LostRange, ...]


class LedgerView(msgspec.Struct, frozen=True):
    """All streams, oldest first, and sums of frames."""

    streams: tuple[StreamView, ...]
    committed: int
    acked: int
    pending: int
    forked: int
    lost: int


def ledger_of(streams: Iterable[Stream]) -> LedgerView:
    """The ledger as it stands."""
    known = list(streams)
    return LedgerView(
        streams=tuple(
            StreamView(
                stream_id=stream.stream_id.hex(),
                is_active=stream.is_active,
                cause=stream.cause,
                last_seq=stream.last_seq,
                acked=stream.acked.pairs(),
                pending=stream.pending.pairs(),
                held=stream.held.pairs(),
                forked=stream.forked.pairs(),
                lost=tuple(LostRange(a, b, reason, is_told) for a, b, reason, is_told in stream.gap_rows()),
            )
            for stream in known
        ),
        **msgspec.structs.asdict(totals_of(known)),
    )


def read_ledger(path: Path) -> LedgerView:
    """The ledger from the file, without the agent. `NotFound`: no outbox there. `Unavailable`: not readable."""
    if not path.exists():
        raise NotFound(f"{path}: there is no outbox; the agent has not run on this device yet")
    try:
        db = connect_read_only(path)
        try:
            return ledger_of(load_streams(db))
        finally:
            db.close()
    except sqlite3.DatabaseError as err:
        raise Unavailable(f"{path}: {err}") from err
