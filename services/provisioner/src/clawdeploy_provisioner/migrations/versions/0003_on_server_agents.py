"""On-server agents and the budgets of outside APIs. Expand only: older code does not know these tables."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables; the web role gets no right to any of them."""
    for statement in (Path(__file__).parent.parent / "0003.sql").read_text().split(";\n\n"):
        op.execute(statement.rstrip().rstrip(";"))
