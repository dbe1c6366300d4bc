"""A server that is destroyed may be paid for until a date. Expand only."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that may be empty: no table is rewritten."""
    op.execute("ALTER TABLE servers ADD COLUMN paid_until TIMESTAMP WITH TIME ZONE")
