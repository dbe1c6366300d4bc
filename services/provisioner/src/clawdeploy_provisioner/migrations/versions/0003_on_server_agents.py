"""On-server agents and the budgets of outside APIs. Expand only: older code does not know these tables."""

from pathlib import Path

from clawdeploy_common.schema import run_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables; the web role gets no right to any of them."""
    run_file(Path(__file__).parents[1] / "0003.sql")
