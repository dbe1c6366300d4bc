"""What a provider charges for a destroyed server: until a later date, or nothing. Expand only."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that may be left out: no table is rewritten."""
    op.execute(
        "ALTER TABLE servers ADD COLUMN paid_until TIMESTAMP WITH TIME ZONE, ADD COLUMN refunded BOOLEAN NOT NULL DEFAULT false"
    )
