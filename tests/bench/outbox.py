"""What a committed frame costs the disk: frames a second, and how often the card is asked to write for good.

References of the same run: a bare SQLite table with one commit a frame, and the naive store that commits every sample.
The syncs of 600 commits are counted by strace in a process of their own, acknowledgements and checkpoints included.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

from edge.outbox.opening import outbox_path
from edge.outbox.outbox import Outbox
from edge.outbox.room import Room
from edge.outbox.schema import connect
from tests.bench.report import Figure, report
from tests.support.edge_fakes import IDENTITY, ack_range, frame_maker

FRAME_BYTES = 420  # 10 s of 27 signals at 1 Hz and GPS
SAMPLES = 330  # in such a frame
COUNTED = 600


def fill(folder: Path, count: int) -> float:
    """Commit frames, each acknowledged before the next, as on a good link. Seconds it took."""
    outbox = Outbox(outbox_path(folder, "acme", "van-1"), IDENTITY, Room(size_bytes=8 << 20))
    make = frame_maker(FRAME_BYTES)
    began = time.perf_counter()
    for seq in range(1, count + 1):
        outbox.append(make, {"odometer_raw": seq})
        stream_id = outbox.active.stream_id
        outbox.ack(stream_id, [ack_range(outbox, stream_id, seq, seq)])
    took = time.perf_counter() - began
    outbox.close(None)
    return took


def bare(folder: Path, count: int) -> float:
    """The same bytes in a bare table of the same settings, one commit each."""
    db = connect(folder / "bare.db")
    db.execute("create table frames (id integer primary key, body blob not null)")
    body = bytes(FRAME_BYTES)
    began = time.perf_counter()
    for number in range(count):
        db.execute("insert into frames values (?, ?)", [number, body])
    took = time.perf_counter() - began
    db.close()
    return took


def naive(folder: Path, count: int) -> float:
    """A row and a commit for each sample, as telemetry gateways do; rollback journal, SQLite's defaults."""
    db = sqlite3.connect(folder / "naive.db", isolation_level=None)
    db.execute("create table samples (at_ms integer, signal integer, value real)")
    began = time.perf_counter()
    for number in range(count):
        db.execute("insert into samples values (?, ?, ?)", [number, number % 27, 1.5])
    took = time.perf_counter() - began
    db.close()
    return took


WAYS: dict[str, Callable[[Path, int], float]] = {"outbox": fill, "bare": bare, "naive": naive}


def syncs(way: str, count: int) -> float | None:
    """fsync and fdatasync a commit, counted by strace; None where there is no strace."""
    if shutil.which("strace") is None:
        return None
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        counts = Path(folder) / "strace.txt"
        subprocess.run(
            ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(counts), sys.executable, "-m",
             "tests.bench.outbox", "--only", way, "--frames", str(count), "--folder", folder],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return len(re.findall(r"\b(?:fsync|fdatasync)\(\d+\)", counts.read_text())) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5_000)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.only:
        WAYS[options.only](options.folder, options.frames)
        return
    rate = {}
    for name, way in WAYS.items():
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            rate[name] = options.frames / way(Path(folder), options.frames)
    figures = [
        Figure("frames_per_s", rate["outbox"], "1/s", "", f"WAL, synchronous=FULL; {FRAME_BYTES} bytes a frame"),
        Figure(
            "bare_inserts_per_s", rate["bare"], "1/s", "", "reference: the same bytes, table and settings, no rules"
        ),
        Figure("outbox_to_bare", rate["outbox"] / rate["bare"], "", "", "numbers, room, ledger cost the rest"),
        Figure("naive_samples_per_s", rate["naive"], "1/s", "", "reference: a commit a sample, SQLite's defaults"),
        Figure(
            "samples_ratio", rate["outbox"] * SAMPLES / rate["naive"], "x", "", f"{SAMPLES} samples ride in a frame"
        ),
    ]
    counted = {name: syncs(name, COUNTED) for name in WAYS}
    if (each := counted["outbox"]) is not None and (each_naive := counted["naive"]) is not None:
        figures += [
            Figure("syncs_per_commit", each, "", "", f"of {COUNTED} commits, start and checkpoints included"),
            Figure("syncs_per_min", each * 6, "1/min", "7", "10 s frames"),
            Figure("syncs_per_min_watched", each * 60, "1/min", "", "1 s frames, while somebody looks"),
            Figure("naive_syncs_per_min", each_naive * SAMPLES * 6, "1/min", "", "reference: a commit a sample"),
        ]
    report("outbox", figures)


if __name__ == "__main__":
    main()
