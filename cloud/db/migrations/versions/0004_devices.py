"""Claim codes, keys of devices, devices that were removed."""

from alembic import op
import sqlalchemy as sa

from cloud.db.base import Utc

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables of enrolment."""
    with op.batch_alter_table("devices") as devices:
        devices.add_column(sa.Column("removed", Utc()))
    op.create_table(
        "claim_codes",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("code_hash", sa.String(64), nullable=False),
        sa.Column("hint", sa.String(4), nullable=False),
        sa.Column("vehicle_id", ID),
        sa.Column("made_by", sa.String(80), nullable=False),
        sa.Column("created", Utc(), nullable=False),
        sa.Column("expires", Utc(), nullable=False),
        sa.Column("used", Utc()),
        sa.Column("public_key", sa.String(56)),
        sa.Column("device_id", ID),
        sa.PrimaryKeyConstraint("id", name="pk_claim_codes"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_claim_codes_tenant_id_tenants"),
        sa.ForeignKeyConstraint(["vehicle_id"], ["vehicles.id"], name="fk_claim_codes_vehicle_id_vehicles"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_claim_codes_device_id_devices"),
        sa.UniqueConstraint("code_hash", name="uq_claim_codes_code_hash"),
    )
    op.create_index("ix_claim_codes_tenant_id_created", "claim_codes", ["tenant_id", "created"])
    op.create_table(
        "device_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("device_id", ID, nullable=False),
        sa.Column("public_key", sa.String(56), nullable=False),
        sa.Column("enrolled", Utc(), nullable=False),
        sa.Column("issued", Utc(), nullable=False),
        sa.Column("expires", Utc(), nullable=False),
        sa.Column("revoked", Utc()),
        sa.Column("cloned", Utc()),
        sa.PrimaryKeyConstraint("id", name="pk_device_keys"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_device_keys_tenant_id_tenants"),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name="fk_device_keys_device_id_devices"),
        sa.UniqueConstraint("public_key", name="uq_device_keys_public_key"),
    )
    op.create_index("ix_device_keys_device_id", "device_keys", ["device_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("device_keys")
    op.drop_table("claim_codes")
    with op.batch_alter_table("devices") as devices:
        devices.drop_column("removed")
