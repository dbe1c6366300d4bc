"""The machinery, the price book, meters and the ledger."""

from pathlib import Path

from alembic import op

from clawdeploy_common.schema import create_machinery, protect

revision = "0001"
down_revision = None

_WEB = "billing_web"


def upgrade() -> None:
    """Create everything."""
    create_machinery(web_role=_WEB)
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n\n"):
        op.execute(statement.rstrip().rstrip(";"))
    for table in ("instances", "servers", "server_meters", "llm_keys", "ledger_lines"):
        protect(table, web_role=_WEB, column="account_id")
