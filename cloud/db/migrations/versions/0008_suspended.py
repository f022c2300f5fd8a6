"""A tenant may be suspended: its people and keys are refused, its devices are not."""

from alembic import op
import sqlalchemy as sa

from cloud.db.base import Utc

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the time since when."""
    op.add_column("tenants", sa.Column("suspended", Utc()))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("tenants") as table:
        table.drop_column("suspended")
