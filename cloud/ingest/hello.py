"""What a hello changes in the ledger, and its answer."""

from cloud.facts import DeviceRef
from cloud.ingest.book import Book, StreamEntry
from cloud.ingest.limits import Limits
from sync_protocol.ledger import Ranges
from sync_protocol.messages import Gap, Hello, HelloAnswer, StreamAnswer, StreamState


def apply_hello(
    book: Book, limits: Limits, device: DeviceRef, hello: Hello, *, received_us: int, now_us: int
) -> list[str]:
    """File what the device says about its streams. Returns the limits it ran into.

    It was published after everything the device sent before, so a frame that is neither here nor held there is lost.
    """
    refused = []
    named = set()
    for state in hello.streams:
        entry = book.find(state.stream_id)
        if entry is None:
            exceeded = limits.new_stream(device.id)
            if exceeded is not None:
                refused.append(exceeded)
                continue
            entry = book.open(device, state.stream_id, received_us)
        if entry.device_id != device.id:
            continue
        named.add(entry.no)
        book.saw(entry, received_us, now_us)
        book.activate(entry, state.is_active)
        _apply_stream(book, entry, state)
    for entry in book.of_device(device.id):
        if entry.no not in named and hello.streams:
            book.activate(entry, False)
            _lose(book, entry, entry.ledger.pending(), "wiped")
    return refused


def _apply_stream(book: Book, entry: StreamEntry, state: StreamState) -> None:
    book.speak_of(entry, state.last_seq)
    for gap in state.gaps:
        if 1 <= gap.first <= gap.last <= state.last_seq:
            book.lose(entry, gap)
    absent = entry.ledger.pending()
    absent.remove(state.last_seq + 1, max(state.last_seq + 1, entry.ledger.last_seq))
    for first, last in state.held:
        if first <= last:
            absent.remove(first, last)
    acked = Ranges(pair for pair in state.acked if pair[0] <= pair[1])
    never_acked = Ranges(absent.pairs())
    for first, last in acked:
        never_acked.remove(first, last)
    _lose(book, entry, never_acked, "wiped")
    _lose(book, entry, absent, "damaged")


def _lose(book: Book, entry: StreamEntry, absent: Ranges, reason: str) -> None:
    for first, last in absent:
        book.lose(entry, Gap(first, last, reason))  # type: ignore[arg-type]  # both callers name a GapReason


def answer_hello(book: Book, device: DeviceRef, hello: Hello, utc_ms: int) -> HelloAnswer:
    """What is stored of the streams the device named; true once everything filed so far is committed."""
    answers = []
    for state in hello.streams:
        entry = book.find(state.stream_id)
        if entry is None or entry.device_id != device.id:
            continue
        ledger = entry.ledger
        forked = tuple(seq for first, last in entry.forked for seq in range(first, last + 1))
        answers.append(
            StreamAnswer(state.stream_id, ledger.stored.pairs(), ledger.quarantined.pairs(), forked, ledger.lost_gaps())
        )
    return HelloAnswer(utc_ms, tuple(answers), reads_short=True)
