"""A disk that others have filled to the last byte: the outbox goes on, and says what had to leave."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room, ballast_path
from tests.support.edge_fakes import IDENTITY, frame_maker
from tests.support.waiting import wait_until

ROOM = Room(size_bytes=1 << 20, ballast_bytes=2 << 20)
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


@pytest.fixture
def small_disk(tmp_path: Path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill_up(folder: Path) -> None:
    with (folder / "others").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65_536)
        except OSError:
            pass
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            return


@pytest.mark.peer
def test_a_full_disk_costs_only_the_oldest_frames(small_disk: Path) -> None:
    path = outbox_path(small_disk, "acme", "van-1")
    outbox = Outbox(path, IDENTITY, ROOM)
    outbox.append(frame_maker(3000))
    fill_up(small_disk)
    assert os.statvfs(small_disk).f_bavail == 0
    for _ in range(600):
        outbox.append(frame_maker(3000))
    totals = outbox.totals()
    assert (totals.committed, totals.acked) == (601, 0)
    assert totals.lost > 0
    assert totals.pending + totals.lost == 601
    newest = outbox.pick(1)[0]
    assert newest.seq == 601
    outbox.close(None)
    again = Outbox(path, IDENTITY, ROOM)
    assert again.totals() == totals
    assert again.append(frame_maker(3000))[1] == 602
    (small_disk / "others").unlink()
    for _ in range(64):
        again.append(frame_maker(300))
    assert ballast_path(path).exists()
    again.close()


def test_kill_9_in_the_middle_of_a_commit_keeps_every_frame_that_was_reported(tmp_path: Path) -> None:
    highest = 0
    for _ in range(6):
        log = tmp_path / "log"
        with log.open("wb") as out:
            writer = subprocess.Popen([sys.executable, "-c", _WRITER, tmp_path], stdout=out, cwd=_ROOT)
        wait_until(lambda path=log: path.stat().st_size > 400, 30, "commits")
        writer.kill()
        writer.wait(10)
        reported = [int(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        assert reported == list(range(reported[0], reported[-1] + 1))
        assert reported[0] in (highest + 1, highest + 2), "a frame may have been committed and not yet reported"
        highest = reported[-1]
        outbox = Outbox(outbox_path(tmp_path, "acme", "van-1"), IDENTITY, Room(size_bytes=1 << 18, ballast_bytes=0))
        stream = outbox.active
        assert outbox.set_aside is None
        assert stream.last_seq in (highest, highest + 1)
        highest = stream.last_seq
        totals = outbox.totals()
        assert totals.pending + totals.lost == totals.committed == highest
        assert all(frame.body for frame in outbox.pick(100_000))
        outbox.close(None)
