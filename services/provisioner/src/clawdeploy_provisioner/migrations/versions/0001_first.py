"""The provisioner's first schema."""

from pathlib import Path

from alembic import op

from clawdeploy_common.schema import create_machinery, protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WEB = "provisioner_web"
TENANT_TABLES = ("operations", "operation_outputs", "servers")


def upgrade() -> None:
    """Create everything; the web role reads its account's instances, operations and servers, and nothing secret."""
    create_machinery(web_role=WEB)
    for statement in (Path(__file__).parent.parent / "0001.sql").read_text().split(";\n\n"):
        op.execute(statement.rstrip().rstrip(";"))
    for table in TENANT_TABLES:
        protect(table, web_role=WEB)
    protect("instances", web_role=WEB, rights="SELECT (id, account_id, deployment, wanted, destroyed_at)")
