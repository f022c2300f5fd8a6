"""Appends Arrow tables to the store's tables."""

import pyarrow as pa

from cloud.telemetry.project import Projected
from cloud.telemetry.store import Cursor


def insert_table(cursor: Cursor, name: str, table: pa.Table) -> None:
    """Append an Arrow table to the columns of the same names."""
    if table.num_rows == 0:
        return
    columns = ", ".join(f'"{column}"' for column in table.column_names)
    cursor.register("incoming", table)
    cursor.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM incoming")  # noqa: S608  # names of the schema; values are bound
    cursor.unregister("incoming")


def insert_projected(cursor: Cursor, projected: Projected) -> None:
    """Append projected rows, whose signals have their columns, and mark the minutes they fall in."""
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
