"""Pulls in the relational database, so that a restart of the service forgets none."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.fleet.pull_view import Pull
from cloud.fleet.tables import PulledRange


def load_pulls(session: Session) -> list[Pull]:
    """All pulls of all tenants."""
    return [msgspec.json.decode(row, type=Pull) for row in session.scalars(select(PulledRange.content))]


def save_pulls(session: Session, tenant_id: int, pulls: Sequence[Pull]) -> None:
    """Insert or replace."""
    for pull in pulls:
        session.merge(
            PulledRange(id=pull.id, tenant_id=tenant_id, vehicle_id=pull.vehicle_id, content=msgspec.json.encode(pull))
        )


def remove_pulls(session: Session, numbers: Sequence[int]) -> None:
    """Forget pulls."""
    for row in session.scalars(select(PulledRange).where(PulledRange.id.in_(numbers))):
        session.delete(row)
