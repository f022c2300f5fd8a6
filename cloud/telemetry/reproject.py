"""Makes rows again from stored frames: all of them, or those that a better anchor moves."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from cloud.facts import DeviceRef, FrameRow, Samples
from cloud.telemetry.insert import insert_projected
from cloud.telemetry.project import TimelineOf, VehicleAt, occurring, project
from cloud.telemetry.schema import add_columns
from cloud.telemetry.store import Cursor
from cloud.telemetry.timeline import Span, Timeline
from sync_protocol.codec import decode_chunk

_CHUNK_FRAMES = 500


class Retime(NamedTuple):
    """A boot whose UTC changed for the device times in `spans`; `timeline` is the boot's at that moment."""

    key: tuple[int, int]
    spans: tuple[Span, ...]
    timeline: Timeline


def retime(cursor: Cursor, item: Retime, vehicle_at: VehicleAt) -> int | None:
    """Delete the rows of the frames that the spans touch, and project those frames again.

    Returns the device, None when no frame was touched.
    """
    stream_no, boot = item.key
    from_ms = min(span.first_ms for span in item.spans)
    to_ms = max(span.last_ms for span in item.spans)
    where = "stream_no = ? AND boot = ? AND last_ms >= ? AND first_ms <= ?"
    arguments: list[object] = [stream_no, boot, from_ms, to_ms]
    columns = cursor.execute(f"SELECT seq, device_id FROM frames WHERE {where}", arguments).fetchnumpy()  # noqa: S608  # names of the schema; values are bound
    found = columns["seq"]
    if not len(found):
        return None
    device_id = int(columns["device_id"][0])
    cursor.execute(
        "INSERT INTO rewinds (device_id, stream_no, seq) VALUES (?, ?, ?)", [device_id, stream_no, int(found.min())]
    )
    _mark_dirty(cursor, stream_no, boot, found)
    for table in ("tel_base", "tel_marks", "events"):
        cursor.register("moved", {"seq": found})
        cursor.execute(
            f"DELETE FROM {table} WHERE stream_no = ? AND boot = ? AND seq IN (SELECT seq FROM moved)",  # noqa: S608  # names of the schema; values are bound
            [stream_no, boot],
        )
        cursor.unregister("moved")
    project_stored(cursor, where, arguments, lambda _stream, _boot: item.timeline, vehicle_at)
    return device_id


def _mark_dirty(cursor: Cursor, stream_no: int, boot: int, seqs: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> None:
    cursor.register("moved", {"seq": seqs})
    cursor.execute(
        "INSERT INTO dirty SELECT DISTINCT tenant_id, vehicle_id, time_bucket(INTERVAL 1 MINUTE, ts) FROM tel"
        " WHERE stream_no = ? AND boot = ? AND vehicle_id IS NOT NULL AND seq IN (SELECT seq FROM moved)",
        [stream_no, boot],
    )
    cursor.unregister("moved")


def project_stored(
    cursor: Cursor, where: str, arguments: list[object], timeline_of: TimelineOf, vehicle_at: VehicleAt
) -> int:
    """Project the stored frames that `where` selects and append their rows. Returns how many frames."""
    count = 0
    for rows in stored_frames(cursor, where, arguments):
        frames, samples = decode_rows(rows)
        projected, _ = project(frames, samples, timeline_of, vehicle_at)
        insert_projected(cursor, projected)
        count += len(frames)
    return count


StoredRow = tuple[int, int, int, int, int, bytes]


def stored_frames(
    cursor: Cursor, where: str, arguments: list[object], chunk: int = _CHUNK_FRAMES
) -> Iterator[list[StoredRow]]:
    """Chunks of (tenant_id, device_id, stream_no, crc, received_us, data) in stream and sequence order."""
    keys = cursor.execute(
        f"SELECT stream_no, seq FROM frames WHERE {where} ORDER BY stream_no, seq",  # noqa: S608  # names of the schema; values are bound
        arguments,
    ).fetchnumpy()
    for at in range(0, len(keys["seq"]), chunk):
        part = {name: column[at : at + chunk] for name, column in keys.items()}
        cursor.register("chunk_keys", part)
        rows = cursor.execute(
            "SELECT f.tenant_id, f.device_id, f.stream_no, f.crc, epoch_us(f.received), f.body FROM frames f"
            " JOIN chunk_keys k ON f.stream_no = k.stream_no AND f.seq = k.seq ORDER BY f.stream_no, f.seq"
        ).fetchall()
        cursor.unregister("chunk_keys")
        yield rows


def decode_rows(rows: list[StoredRow]) -> tuple[list[FrameRow], Samples]:
    """Stored rows back to frames and samples. Every stored frame could be decoded when it came."""
    chunk = decode_chunk([row[5] for row in rows])
    assert not chunk.bad, f"a stored frame does not decode: {chunk.bad[0][1]}"
    frames = [
        FrameRow(DeviceRef(row[1], row[0], "", ""), row[2], header, meta, row[3], row[4], row[5])
        for row, (_, header, meta) in zip(rows, chunk.frames, strict=True)
    ]
    return frames, Samples(*chunk[2:])


def reproject(
    cursor: Cursor, timeline_of: TimelineOf, vehicle_at: VehicleAt, on_progress: Callable[[int], None] | None = None
) -> int:
    """Empty the projection and make all of it again from `frames`. Returns the number of frames."""
    for rows in stored_frames(cursor, "true", []):
        add_columns(cursor, occurring(decode_rows(rows)[1]))
    for table in ("tel_base", "tel_marks", "events", "tel_1m_base", "tel_1h_base", "dirty"):
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608  # names of the schema; values are bound
    count = project_stored(cursor, "true", [], timeline_of, vehicle_at)
    if on_progress is not None:
        on_progress(count)
    return count
