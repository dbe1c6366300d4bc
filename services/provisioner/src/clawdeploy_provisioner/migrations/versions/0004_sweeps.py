"""When each provider's listing was last compared with the rows. Expand only."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table; the web role gets no right to it."""
    op.execute(
        """
        CREATE TABLE sweeps (
            provider TEXT NOT NULL,
            swept_at TIMESTAMP WITH TIME ZONE NOT NULL,
            CONSTRAINT sweeps_pkey PRIMARY KEY (provider)
        )
        """
    )
