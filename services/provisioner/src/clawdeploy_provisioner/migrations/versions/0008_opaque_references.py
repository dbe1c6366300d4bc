"""A local server was known by its directory; now by its id, since tenants see it. Rows only."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Name them by their ids; a debt's server too."""
    op.execute("UPDATE servers SET provider_ref = id::text WHERE provider = 'process' AND provider_ref LIKE '/%'")
    op.execute(
        "UPDATE cleanup_debts SET provider_ref = resource_id::text WHERE provider = 'process' AND provider_ref LIKE '/%'"
    )
