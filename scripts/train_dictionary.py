"""Train a compression dictionary for frame bodies, from recordings whose licence allows it and from the simulator.

    python scripts/train_dictionary.py 1          # writes sync_protocol/dictionaries/1.zdict

A released dictionary never changes: train the next number and raise `compression.DICTIONARY`. Sources are named in
NOTICE: KIT Seat Leon (CC BY 4.0), NDS drives (MIT), our simulator. The Toyota recordings stay out: they measure it.
"""

from collections.abc import Iterator
from pathlib import Path
import random
import sys

import zstandard

from sync_protocol.body import write_body
from tests.support.real_data import data_dir
from tests.support.recordings import Recording, kit_leon, nds

DICTIONARY_BYTES = 16_384
FRAME_ROWS = (1, 10, 10, 10, 60, 60)


def bodies(recordings: list[Recording], seed: int) -> Iterator[bytes]:
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
    sources = [*kit_leon(root), *nds(root)]
    samples = list(bodies(sources, seed=1))[:120_000]
    dictionary = zstandard.train_dictionary(DICTIONARY_BYTES, samples, level=9, threads=2)
    path = Path("sync_protocol/dictionaries") / f"{sys.argv[1]}.zdict"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(dictionary.as_bytes())
    print(f"{path}: {path.stat().st_size} bytes from {len(samples)} bodies of {len(sources)} recordings")


if __name__ == "__main__":
    main()
