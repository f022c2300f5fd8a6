"""Ranges of history that a vehicle was asked for."""

from alembic import op
import sqlalchemy as sa

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create their table. Pulls that are open in a service from before are forgotten with it."""
    op.create_table(
        "pulls",
        sa.Column("id", ID, autoincrement=False, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("vehicle_id", ID, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pulls"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_pulls_tenant_id_tenants"),
        sa.ForeignKeyConstraint(["vehicle_id"], ["vehicles.id"], name="fk_pulls_vehicle_id_vehicles"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("pulls")
