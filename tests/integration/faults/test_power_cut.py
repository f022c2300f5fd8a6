"""What a power cut leaves on an ordered file system, as near as a machine that stays on can come to it.

Database and log are copied, one after the other, while another process commits: two states that never were together,
with pages half written. A cut of the power itself, a card that lies about its syncs and one that wears out are not
tried.
"""

from pathlib import Path
import shutil
import subprocess
import sys

from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room
from sync_protocol.ledger import Ranges
from tests.support.edge_fakes import IDENTITY, frame_maker
from tests.support.waiting import wait_until

_ROOT = Path(__file__).parents[3]
_WRITER = """
import sys
from pathlib import Path
from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room
from tests.support.edge_fakes import IDENTITY, frame_maker
outbox = Outbox(outbox_path(Path(sys.argv[1]), "acme", "van-1"), IDENTITY, Room(size_bytes=1 << 18, ballast_bytes=0))
while True:
    _, seq = outbox.append(frame_maker(300))
    print(seq, flush=True)
"""


def reported(log: Path) -> int:
    """The newest number that was said to be committed."""
    lines = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return int(lines[-1]) if lines else 0


def test_a_copy_taken_in_the_middle_of_writing_opens_with_everything_reported_before(tmp_path: Path) -> None:
    source = outbox_path(tmp_path, "acme", "van-1")
    log = tmp_path / "log"
    salvaged = 0
    with log.open("wb") as out:
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path], stdout=out, cwd=_ROOT)
    try:
        for number in range(25):
            before = reported(log)
            wait_until(lambda b=before: reported(log) > b + 20, 30, "commits")
            safe = reported(log)
            place = tmp_path / str(number)
            place.mkdir()
            path = outbox_path(place, "acme", "van-1")
            for end in ("", "-wal") if number % 2 else ("-wal", ""):
                shutil.copyfile(f"{source}{end}", f"{path}{end}")
            outbox = Outbox(path, IDENTITY, Room(size_bytes=1 << 18, ballast_bytes=0))
            stream = outbox.streams[0]
            salvaged += outbox.set_aside is not None
            fates = Ranges([*stream.held, *((a, b) for a, b, _, _ in stream.gap_rows())])
            assert not list(fates.missing(1, stream.last_seq))
            if number % 2:  # database first: the log holds all that it lacks, unless it was begun anew in between
                assert stream.last_seq >= safe or outbox.set_aside is not None
            assert outbox.append(frame_maker())[1] == outbox.active.last_seq
            outbox.close(None)
            shutil.rmtree(place)
    finally:
        writer.kill()
        writer.wait(10)
    print(f"{salvaged} of 25 copies had to be salvaged")
