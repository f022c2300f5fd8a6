"""Write the golden frames of the present version: tests/data/frames/v<version>/. Once for each version; never again.

    python scripts/make_golden_frames.py

Each NAME.json holds the content, each NAME.bin the frame. Readers of any later version must read them; those whose body
is stored must also be made again byte for byte (zstd's output changes with its version: compressed ones are read only).
"""

from pathlib import Path

import numpy as np

from sync_protocol.codec import Group, encode, read_header
from sync_protocol.header import STORED, VERSION
from sync_protocol.messages import Event, Mark, Meta, TimeAnchor
from tests.support.golden import Golden, write_golden

STREAM = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
FOLDER = Path("tests/data/frames") / f"v{VERSION}"


def grid(ids: tuple[int, ...], rows: int, first_ms: int, step_ms: int, columns: list[list[int | None]]) -> Group:
    """A group on regular instants; None is an absent cell."""
    present = np.array([[v is not None for v in column] for column in columns], np.bool_)
    values = np.array([[v or 0 for v in column] for column in columns], np.int64)
    return Group(ids, first_ms + step_ms * np.arange(rows, dtype=np.int64), values, present)


def contents() -> dict[str, tuple[list[Group], Meta]]:
    """What the golden frames hold: the example of SPEC.md, each kind of meta, absent cells, second order, extremes."""
    spec = grid((14, 15), 3, 5000, 1000, [[6000, 6000, 6040], [50, 51, 51]])
    drive = grid((6, 7, 14, 15), 10, 60_000, 1000, [
        [80, 82, 90, 120, 160, 170, 171, 171, 140, 90], [130] * 10,
        [3200, 3280, 3600, 4800, 6400, 7000, 7040, 7040, 5200, 3400], [0, 0, 4, 11, 19, 28, 36, 41, 44, 44],
    ])  # fmt: skip
    gps = grid((128, 129, 130), 10, 60_137, 1000, [
        [471412345 + 210 * i + i * i for i in range(10)], [95212345 - 180 * i for i in range(10)],
        [4571, 4571, 4572, None, None, 4572, 4573, 4573, 4573, 4574],
    ])  # fmt: skip
    meta = Meta(
        (Event(61_500, "dtc_set", {"code": "P0301", "status": "stored"}), Event(62_000, "harsh_brake", {"a_ms2": 3.5})),
        (TimeAnchor(60_137, 1_790_000_000_000, "gps", 50),),
        (Mark(130, 63_137, 64_137, "stale"),),
    )
    minute: list[list[int | None]] = [
        [80 + i * i % 23 for i in range(60)], [120 + i // 20 for i in range(60)],
        [4800 + 4 * (i * 7 % 31) for i in range(60)], [50 + i * 3 % 5 for i in range(60)],
    ]  # fmt: skip
    extremes = grid((32, 161), 2, 0, 2**31, [[-32768, 32767], [0, 2**40]])
    return {
        "spec-example": ([spec], Meta()),
        "drive-10s": ([drive, gps], meta),
        "one-second": ([grid((6, 7, 14, 15), 1, 90_000, 1000, [[99], [130], [6100], [50]])], Meta()),
        "events-only": ([], meta),
        "extremes": ([extremes], Meta()),
        "minute": ([grid((6, 7, 14, 15), 60, 60_000, 1000, minute)], Meta()),
    }


def main() -> None:
    for compress in (False, True):
        for name, (groups, meta) in contents().items():
            title = f"{name}{'-zstd' if compress else ''}"
            data = encode(STREAM, 7, 3, groups, meta, compress=compress)
            if compress and read_header(data).coding == STORED:
                continue  # zstd gained nothing: the same frame again
            write_golden(FOLDER / title, Golden(STREAM, 7, 3, tuple(groups), meta), data)
            print(f"{title}: {len(data)} bytes")


if __name__ == "__main__":
    main()
