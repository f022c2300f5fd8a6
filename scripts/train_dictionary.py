"""Train a compression dictionary for frame bodies, from recordings whose licence allows it and from the simulator.

    python scripts/train_dictionary.py 1          # writes sync_protocol/dictionaries/1.zdict

A released dictionary never changes: train the next number and raise `compression.DICTIONARY`. Sources are named in
NOTICE: KIT Seat Leon (CC BY 4.0), NDS drives (MIT), our simulator. The Toyota recordings stay out: they measure it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
import random
import sys

import numpy as np
import zstandard

from edge.simulator.kinds import KINDS
from edge.simulator.readings import READINGS, reading
from edge.simulator.route import load_route, route_names
from edge.simulator.vehicle import Vehicle
from sync_protocol.body import write_body
from sync_protocol.signals import catalogue
from tests.support.real_data import data_dir
from tests.support.recordings import Recording, kit_leon, nds, recording

DICTIONARY_BYTES = 16_384
FRAME_ROWS = (10, 10, 60, 60)
"""Lengths of the frames trained on; frames of one second are sent as they are."""


def simulated(seconds: int) -> Iterator[Recording]:
    """Every kind on every route at 1 Hz: what its engine computer supports, and the position."""
    by_name = catalogue().by_name
    for kind in KINDS.values():
        names = [n for n in READINGS if by_name[n].pid in kind.pids and by_name[n].period_s <= 1]
        for route in route_names():
            vehicle = Vehicle("train", kind, load_route(route), f"train/{kind.name}/{route}")
            rows: list[list[float]] = []
            for second in range(seconds):
                vehicle.advance_to(second + 1.0)
                if vehicle.is_running:
                    rows.append([reading(vehicle, n) for n in names])
            table = np.array(rows).T
            times = np.arange(len(rows), dtype=np.int64) * 1000
            yield recording(f"{kind.name}-{route}", times, dict(zip(names, table, strict=True)))


def bodies(recordings: Sequence[Recording], seed: int) -> Iterator[bytes]:
    """Bodies of frames of all lengths, in random order."""
    out: list[bytes] = []
    for one in recordings:
        for rows in FRAME_ROWS:
            out += [write_body(b"", [g], int(g.times_ms[0])) for g in one.frames(rows) if g.signal_ids]
    random.Random(seed).shuffle(out)
    yield from out


def main() -> None:
    root = data_dir()
    if root is None:
        sys.exit("no real recordings: set MILEPOST_DATA")
    sources = [*kit_leon(root), *nds(root), *simulated(seconds=2400)]
    samples = list(bodies(sources, seed=1))[:60_000]
    dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=9, threads=2)
    path = Path("sync_protocol/dictionaries") / f"{sys.argv[1]}.zdict"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(dictionary.as_bytes())
    print(f"{path}: {path.stat().st_size} bytes from {len(samples)} bodies of {len(sources)} recordings")


if __name__ == "__main__":
    main()
