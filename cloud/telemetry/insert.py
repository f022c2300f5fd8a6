"""Appends Arrow tables to the store's tables."""

import pyarrow as pa

from cloud.telemetry.project import Projected
from cloud.telemetry.schema import add_columns
from cloud.telemetry.store import Cursor
from sync_protocol.signals import catalogue


def insert_table(cursor: Cursor, name: str, table: pa.Table) -> None:
    """Append an Arrow table to the columns of the same names."""
    if table.num_rows == 0:
        return
    columns = ", ".join(f'"{column}"' for column in table.column_names)
    cursor.register("incoming", table)
    cursor.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM incoming")  # noqa: S608  # names of the schema; values are bound
    cursor.unregister("incoming")


def make_room(cursor: Cursor, projected: Projected) -> None:
    """Give signals that occur for the first time their columns.

    DuckDB refuses to commit a column that is added after rows of its table were deleted in the same transaction:
    whoever deletes makes room first.
    """
    add_columns(cursor, [s for name in projected.tel.column_names if (s := catalogue().by_name.get(name)) is not None])


def insert_projected(cursor: Cursor, projected: Projected) -> None:
    """Append projected rows and mark the minutes they fall in."""
    make_room(cursor, projected)
    insert_table(cursor, "tel_base", projected.tel)
    insert_table(cursor, "tel_marks", projected.marks)
    insert_table(cursor, "events", projected.events)
    if projected.touched.num_rows:
        cursor.register("incoming", projected.touched)
        cursor.execute(
            "INSERT INTO dirty SELECT i.* FROM incoming i ANTI JOIN dirty d"
            " ON i.vehicle_id = d.vehicle_id AND i.bucket = d.bucket AND i.tenant_id = d.tenant_id"
        )
        cursor.unregister("incoming")
