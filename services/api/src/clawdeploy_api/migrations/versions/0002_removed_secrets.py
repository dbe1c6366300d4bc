"""A secret can be taken away again. Expand only: older code knows secrets that stay.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that may be empty: no table is rewritten."""
    op.execute("ALTER TABLE secrets ADD COLUMN removed_at TIMESTAMP WITH TIME ZONE")
    op.execute("GRANT UPDATE (removed_at) ON secrets TO api_web")
