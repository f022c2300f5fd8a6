"""What could not become a frame: listed, given back for another try, cleared once it is stored."""

from collections.abc import Sequence

import msgspec

from cloud.telemetry.store import Cursor


class Quarantined(msgspec.Struct):
    """One set-aside content. `times` is how often it came."""

    id: int
    device_id: int
    stream_no: int | None
    seq: int | None
    kind: str
    reason: str
    first_seen_us: int
    last_seen_us: int
    times: int
    size_bytes: int


def list_quarantined(cursor: Cursor, tenant_id: int, limit: int = 1000) -> list[Quarantined]:
    """What lies there for a tenant, latest first."""
    rows = cursor.execute(
        "SELECT id, device_id, stream_no, seq, kind, reason, epoch_us(first_seen), epoch_us(last_seen), times,"
        " octet_length(body) FROM quarantine WHERE tenant_id = ? ORDER BY last_seen DESC, id DESC LIMIT ?",
        [tenant_id, limit],
    ).fetchall()
    return [Quarantined(*row) for row in rows]


def quarantined_bodies(
    cursor: Cursor, tenant_id: int, ids: Sequence[int] | None = None
) -> list[tuple[int, int, int, bytes]]:
    """(id, device_id, first_seen_us, bytes) of what may be tried again: everything but forks; `ids` None is all."""
    rows = cursor.execute(
        "SELECT id, device_id, epoch_us(first_seen), body FROM quarantine"
        " WHERE tenant_id = ? AND kind IN ('undecodable', 'unavailable') ORDER BY stream_no, seq, id",
        [tenant_id],
    ).fetchall()
    wanted = None if ids is None else set(ids)
    return [(i, device, us, bytes(body)) for i, device, us, body in rows if wanted is None or i in wanted]


def clear_stored(cursor: Cursor) -> int:
    """Remove what is stored by now, checksum and all. Returns how many. A write: for `TelemetryStore.write`."""
    rows = cursor.execute(
        "DELETE FROM quarantine USING frames f, streams s WHERE quarantine.device_id = f.device_id"
        " AND quarantine.crc = f.crc AND f.stream_no = s.stream_no AND quarantine.body = f.body"
        " AND quarantine.kind IN ('undecodable', 'unavailable') RETURNING quarantine.id"
    ).fetchall()
    return len(rows)
