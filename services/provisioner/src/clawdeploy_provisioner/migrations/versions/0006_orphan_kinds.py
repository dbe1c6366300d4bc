"""What kind of thing an orphan is, and since when it is there. Expand only."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns; what was found before is a server, there since it was found."""
    op.execute(
        """
        ALTER TABLE orphans ADD COLUMN resource TEXT DEFAULT 'server' NOT NULL,
            ADD COLUMN since TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL
        """
    )
    op.execute("UPDATE orphans SET since = found_at")
