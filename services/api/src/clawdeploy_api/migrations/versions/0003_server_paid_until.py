"""A destroyed server may be paid for until a date. Expand only: older code does not tell it.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that may be empty: no table is rewritten."""
    op.execute("ALTER TABLE instance_views ADD COLUMN server_paid_until TIMESTAMP WITH TIME ZONE")
