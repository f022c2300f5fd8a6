"""What the engine computer measured when it set a trouble code."""

from alembic import op
import sqlalchemy as sa

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Spells from before keep no freeze frame; their events still do."""
    op.add_column("faults", sa.Column("freeze", sa.JSON()))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("faults", "freeze")
