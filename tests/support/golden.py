"""Golden frames on disk: NAME.bin is the frame, NAME.json what it holds."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from sync_protocol.codec import Group
from sync_protocol.messages import Meta


class Golden(NamedTuple):
    """Content of a golden frame."""

    stream_id: bytes
    seq: int
    boot: int
    groups: tuple[Group, ...]
    meta: Meta


class _GroupFile(msgspec.Struct):
    signal_ids: tuple[int, ...]
    times_ms: tuple[int, ...]
    columns: tuple[tuple[int | None, ...], ...]


class _File(msgspec.Struct):
    stream_id: str
    seq: int
    boot: int
    groups: tuple[_GroupFile, ...]
    meta: Meta


def write_golden(path: Path, golden: Golden, data: bytes) -> None:
    """Write both files; refuses to change one that is there."""
    groups = tuple(
        _GroupFile(
            g.signal_ids,
            tuple(map(int, g.times_ms)),
            tuple(
                tuple(int(v) if p else None for v, p in zip(values, present, strict=True))
                for values, present in zip(g.values, g.present, strict=True)
            ),
        )
        for g in golden.groups
    )
    file = _File(golden.stream_id.hex(), golden.seq, golden.boot, groups, golden.meta)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".bin").open("xb") as out:
        out.write(data)
    path.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n")


def read_golden(path: Path) -> tuple[Golden, bytes]:
    """Content and frame."""
    file = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=_File)
    groups = tuple(
        Group(
            g.signal_ids,
            np.array(g.times_ms, np.int64),
            np.array([[v or 0 for v in column] for column in g.columns], np.int64),
            np.array([[v is not None for v in column] for column in g.columns], np.bool_),
        )
        for g in file.groups
    )
    golden = Golden(bytes.fromhex(file.stream_id), file.seq, file.boot, groups, file.meta)
    return golden, path.with_suffix(".bin").read_bytes()
