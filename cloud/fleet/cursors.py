"""Derive's cursors: `cloud.facts.CursorStore` over the relational database."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud.facts import CursorRow
from cloud.fleet.tables import DeriveCursor


class Cursors:
    """Loads and saves cursors inside the caller's transaction."""

    def load(self, session: Session) -> Sequence[CursorRow]:
        """All cursors."""
        return [
            CursorRow(row.device_id, row.tenant_id, row.stream_no, row.seq, row.state)
            for row in session.scalars(select(DeriveCursor))
        ]

    def highest_stream_no(self, session: Session) -> int:
        """The highest number of a stream that any cursor stands in, 0 without cursors."""
        return session.scalar(select(func.max(DeriveCursor.stream_no))) or 0

    def save(self, session: Session, rows: Sequence[CursorRow]) -> None:
        """Insert or replace."""
        for row in rows:
            session.merge(
                DeriveCursor(
                    device_id=row.device_id,
                    tenant_id=row.tenant_id,
                    stream_no=row.stream_no,
                    seq=row.seq,
                    state=row.state,
                )
            )
