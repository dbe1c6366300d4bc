"""The provisioner's first schema."""

from pathlib import Path

from clawdeploy_common.schema import create_machinery, protect, run_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WEB = "provisioner_web"
TENANT_TABLES = ("operations", "operation_outputs", "servers")


def upgrade() -> None:
    """Create everything; the web role reads its account's instances, operations and servers, and nothing secret."""
    create_machinery(web_role=WEB)
    run_file(Path(__file__).parents[1] / "0001.sql")
    for table in TENANT_TABLES:
        protect(table, web_role=WEB)
    protect("instances", web_role=WEB, rights="SELECT (id, account_id, deployment, wanted, destroyed_at)")
