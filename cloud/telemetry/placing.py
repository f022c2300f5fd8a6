"""Finds the boots whose UTC nobody ever told: they are placed between the boots before and after them."""

from cloud.facts import UnplacedBoot
from cloud.telemetry.store import Cursor

_BOOTS = """
    SELECT s.device_id, b.stream_no, b.boot, min(b.first_seq) AS first_seq,
        bool_or(a.stream_no IS NOT NULL) AS is_anchored
    FROM boots b JOIN streams s ON b.stream_no = s.stream_no
    LEFT JOIN (SELECT DISTINCT stream_no, boot FROM anchors) a ON a.stream_no = b.stream_no AND a.boot = b.boot
    WHERE s.device_id IN (
        SELECT s2.device_id FROM boots b2 JOIN streams s2 ON b2.stream_no = s2.stream_no
        ANTI JOIN anchors a2 ON a2.stream_no = b2.stream_no AND a2.boot = b2.boot)
    GROUP BY ALL ORDER BY s.device_id, b.stream_no, b.boot
    """


def unplaced(cursor: Cursor) -> list[UnplacedBoot]:
    """Boots without any anchor that lie, in the life of their device, before one that has some."""
    rows = cursor.execute(_BOOTS).fetchall()
    out = []
    for i, (device_id, stream_no, boot, _, is_anchored) in enumerate(rows):
        if is_anchored:
            continue
        later = [row for row in rows[i + 1 :] if row[0] == device_id]
        after = next((row for row in later if row[4]), None)
        if after is None:
            continue
        before = next((row for row in reversed(rows[:i]) if row[0] == device_id and row[4]), None)
        _, next_start_ms = _ends(cursor, after[1], after[2])
        span = cursor.execute(
            "SELECT min(first_ms), max(last_ms) FROM frames WHERE stream_no = ? AND boot = ?", [stream_no, boot]
        ).fetchone()
        if span is None or span[0] is None or next_start_ms is None:
            continue
        previous_end_ms = None if before is None else _ends(cursor, before[1], before[2])[0]
        closes_at = (later[0][1], later[0][3])
        out.append(UnplacedBoot(stream_no, boot, span[0], span[1], previous_end_ms, next_start_ms, closes_at))
    return out


def _ends(cursor: Cursor, stream_no: int, boot: int) -> tuple[int | None, int | None]:
    """UTC in ms of a boot's last and first row."""
    row = cursor.execute(
        "SELECT epoch_ms(max(ts)), epoch_ms(min(ts)) FROM tel WHERE stream_no = ? AND boot = ?", [stream_no, boot]
    ).fetchone()
    return (None, None) if row is None else (row[0], row[1])
