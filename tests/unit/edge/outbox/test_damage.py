"""An outbox damaged at any byte: it opens, says what it kept and what it lost, and never sends what was not written."""

from functools import cache
from pathlib import Path
import random
import shutil
import tempfile

import pytest

from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room
from sync_protocol.ledger import Ranges
from tests.support.edge_fakes import IDENTITY, ack_range, frame_maker

ROOM = Room(size_bytes=40 * 4096, ballast_bytes=0)
FRAMES = 300
ACKED = 60


@cache
def original() -> tuple[Path, dict[tuple[bytes, int], bytes]]:
    """An outbox as a kill leaves it, its log full of commits, and every frame that was reported committed."""
    folder = Path(tempfile.mkdtemp(prefix="outbox-"))
    path = outbox_path(folder, "acme", "van-1")
    outbox = Outbox(path, IDENTITY, ROOM)
    rng = random.Random(5)
    written: dict[tuple[bytes, int], bytes] = {}
    for number in range(FRAMES):
        make = frame_maker(rng.randrange(40, 600), has_event=number % 17 == 0)
        key = outbox.append(make, {"odometer_raw": number})
        written[key] = make(*key, outbox.boot)
        if number == FRAMES // 2:
            outbox.ack(key[0], [ack_range(outbox, key[0], 1, ACKED)])
    for end in ("", "-wal"):  # a copy while it is open: the log is not folded in
        shutil.copy(f"{path}{end}", folder / f"kept{end}")
    outbox.close(None)
    return folder / "kept", written


def damaged_copy(folder: Path, end: str, how: str, rng: random.Random) -> Path:
    path = outbox_path(folder, "acme", "van-1")
    for extra in ("", "-wal"):
        shutil.copy(f"{original()[0]}{extra}", f"{path}{extra}")
    victim = Path(f"{path}{end}")
    raw = bytearray(victim.read_bytes())
    at = rng.randrange(len(raw))
    if how == "flip":
        raw[at] ^= 1 << rng.randrange(8)
    elif how == "zero":
        raw[at : at + 512] = bytes(len(raw[at : at + 512]))
    else:
        del raw[at:]
    victim.write_bytes(raw)
    return path


def check(path: Path, what: str, *, is_tail_gone: bool) -> int:
    """Open, and look at every number. Returns how many frames were lost to the damage."""
    written = original()[1]
    (old,) = {stream_id for stream_id, _ in written}
    outbox = Outbox(path, IDENTITY, ROOM)
    try:
        back = {(frame.stream_id, frame.seq): frame.body for frame in outbox.pick(10_000)}
        assert all(written.get(key) == body for key, body in back.items()), f"{what}: a frame has changed"
        sealed = outbox.set_aside is not None and "sealed" in outbox.set_aside.name
        streams = [stream for stream in outbox.streams if stream.stream_id == old]
        lost = 0
        for stream in streams:
            gone = Ranges((a, b) for a, b, _, _ in stream.gap_rows())
            last = stream.last_seq
            known = Ranges([*stream.held, *stream.acked, *gone])
            assert not list(known.missing(1, last)), f"{what}: numbers without a fate"
            assert last <= 2 * FRAMES + path.stat().st_size // 49, f"{what}: {last} frames were never written"
            assert is_tail_gone or last >= FRAMES, f"{what}: committed numbers would be given away again"
            lost = sum(b - a + 1 for a, b, reason, _ in stream.gap_rows() if reason == "damaged")
        assert streams or outbox.set_aside is not None, f"{what}: everything gone without a word"
        key = outbox.append(frame_maker())
        assert is_tail_gone or key not in written, f"{what}: {key[1]} was used again"
        assert lost < 40 or sealed or "a cut" in what, f"{what}: {lost} lost"
        return lost
    finally:
        outbox.close()


def tries(count: int, seed: int, folder: Path) -> None:
    rng = random.Random(seed)
    lost = []
    for number in range(count):
        end, how = rng.choice(("", "-wal")), rng.choice(("flip", "flip", "zero", "cut"))
        what = f"seed {seed}, try {number}: a {how} of the {'log' if end else 'database'}"
        place = folder / str(number)
        place.mkdir()
        path = damaged_copy(place, end, how, rng)
        # Of a log that was cut off nothing tells that it was longer: the cloud does, and a new stream follows.
        lost.append(check(path, what, is_tail_gone=end == "-wal" and how != "flip"))
        shutil.rmtree(place)
    harmless = lost.count(0)
    print(f"{count} damages: {harmless} cost nothing, the others {sum(lost)} frames, {max(lost)} at most")


def test_damage_anywhere_is_survived_and_told(tmp_path: Path) -> None:
    tries(40, 1, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_damage_anywhere_many_times(tmp_path: Path, seed: int) -> None:
    tries(500, seed, tmp_path)
