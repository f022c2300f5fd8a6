"""Tenants, vehicles, devices, assignments, vehicle states, faults, derive cursors."""

from alembic import op
import sqlalchemy as sa

from cloud.db.base import Utc

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BIG = sa.BigInteger()


def upgrade() -> None:
    """Create the tables of the fleet."""
    op.create_table(
        "tenants",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("created", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("name", name="uq_tenants_name"),
    )
    op.create_table(
        "vehicles",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("plate", sa.String(20)),
        sa.Column("vin", sa.String(17)),
        sa.Column("make", sa.String(60)),
        sa.Column("model", sa.String(60)),
        sa.Column("year", sa.Integer()),
        sa.Column("created", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vehicles"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_vehicles_tenant_id_tenants"),
    )
    op.create_index("ix_vehicles_tenant_id_name", "vehicles", ["tenant_id", "name"])
    op.create_table(
        "devices",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("agent_version", sa.String(40)),
        sa.Column("created", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_devices_tenant_id_tenants"),
        sa.UniqueConstraint("tenant_id", "name", name="uq_devices_tenant_id_name"),
    )
    op.create_table(
        "assignments",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("vehicle_id", ID),
        sa.Column("valid_from", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_assignments"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_assignments_tenant_id_tenants"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_assignments_device_id_devices"),
        sa.ForeignKeyConstraint(["vehicle_id"], ["vehicles.id"], name="fk_assignments_vehicle_id_vehicles"),
        sa.UniqueConstraint("device_id", "valid_from", name="uq_assignments_device_id_valid_from"),
    )
    op.create_index("ix_assignments_vehicle_id", "assignments", ["vehicle_id"])
    _create_derived()


def _create_derived() -> None:
    op.create_table(
        "vehicle_states",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("vehicle_id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("since", Utc(), nullable=False),
        sa.Column("until", Utc()),
        sa.PrimaryKeyConstraint("id", name="pk_vehicle_states"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_vehicle_states_tenant_id_tenants"),
        sa.ForeignKeyConstraint(["vehicle_id"], ["vehicles.id"], name="fk_vehicle_states_vehicle_id_vehicles"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_vehicle_states_device_id_devices"),
    )
    op.create_index("ix_vehicle_states_vehicle_id_since", "vehicle_states", ["vehicle_id", "since"])
    lasts = sa.text("until IS NULL")
    op.create_index(
        "ix_vehicle_states_open", "vehicle_states", ["vehicle_id"], sqlite_where=lasts, postgresql_where=lasts
    )
    op.create_table(
        "faults",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("vehicle_id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("code", sa.String(8), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("first_seen", Utc(), nullable=False),
        sa.Column("last_seen", Utc(), nullable=False),
        sa.Column("cleared_at", Utc()),
        sa.PrimaryKeyConstraint("id", name="pk_faults"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_faults_tenant_id_tenants"),
        sa.ForeignKeyConstraint(["vehicle_id"], ["vehicles.id"], name="fk_faults_vehicle_id_vehicles"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_faults_device_id_devices"),
    )
    op.create_index("ix_faults_vehicle_id_code", "faults", ["vehicle_id", "code"])
    stands = sa.text("cleared_at IS NULL")
    op.create_index("ix_faults_open", "faults", ["vehicle_id", "code"], sqlite_where=stands, postgresql_where=stands)
    op.create_table(
        "derive_cursors",
        sa.Column("device_id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("stream_no", sa.Integer(), nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name="pk_derive_cursors"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_derive_cursors_device_id_devices"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_derive_cursors_tenant_id_tenants"),
    )


def downgrade() -> None:
    """Drop them, those that refer to others first."""
    for table in ("derive_cursors", "faults", "vehicle_states", "assignments", "devices", "vehicles", "tenants"):
        op.drop_table(table)
