"""How to get into a server over SSH, and how to know it again. Expand only."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns; what is there already are root's logins, and nobody has met their host keys."""
    op.execute(
        """
        ALTER TABLE server_agents
            ADD COLUMN ssh_user TEXT NOT NULL DEFAULT 'root',
            ADD COLUMN ssh_port INTEGER NOT NULL DEFAULT 22,
            ADD COLUMN host_key TEXT
        """
    )
