"""Samples of windows: without the frames that were not accepted, and joined for a commit."""

from collections.abc import Sequence

import numpy as np

from cloud.facts import Samples
from sync_protocol.codec import Chunk


def accepted(chunk: Chunk, target: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Samples:
    """The chunk's samples with frames numbered as `target` says; -1 leaves a frame out."""
    if len(target) and target.min() >= 0:
        return Samples(target[chunk.row_frame], chunk.row_ms, chunk.cell_row, chunk.cell_signal, chunk.cell_raw)
    frame = target[chunk.row_frame] if len(target) else chunk.row_frame
    is_kept = frame >= 0
    new_row = (np.cumsum(is_kept) - 1).astype(np.int32)
    cells = is_kept[chunk.cell_row]
    return Samples(
        frame[is_kept],
        chunk.row_ms[is_kept],
        new_row[chunk.cell_row[cells]],
        chunk.cell_signal[cells],
        chunk.cell_raw[cells],
    )


def joined(parts: Sequence[tuple[int, Samples]]) -> Samples:
    """Samples of several windows as one; `base` is the position of each window's first frame."""
    if not parts:
        empty = np.empty(0, np.int64)
        return Samples(empty.astype(np.int32), empty, empty.astype(np.int32), empty.astype(np.int16), empty)
    rows = np.cumsum([0] + [len(samples.row_ms) for _, samples in parts])
    return Samples(
        np.concatenate([samples.row_frame + np.int32(base) for base, samples in parts]),
        np.concatenate([samples.row_ms for _, samples in parts]),
        np.concatenate([s.cell_row + np.int32(row) for (_, s), row in zip(parts, rows.tolist(), strict=False)]),
        np.concatenate([samples.cell_signal for _, samples in parts]),
        np.concatenate([samples.cell_raw for _, samples in parts]),
    )
