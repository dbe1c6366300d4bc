"""An operation remembers the trace of the request that asked for it. Expand only: older code leaves it empty."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that may be empty: no table is rewritten."""
    op.execute("ALTER TABLE operations ADD COLUMN traceparent TEXT")
