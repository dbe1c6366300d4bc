"""The machinery, the price book, meters and the ledger."""

from pathlib import Path

from clawdeploy_common.schema import create_machinery, protect, run_file

revision = "0001"
down_revision = None

_WEB = "billing_web"


def upgrade() -> None:
    """Create everything."""
    create_machinery(web_role=_WEB)
    run_file(Path(__file__).with_suffix(".sql"))
    for table in ("instances", "servers", "server_meters", "llm_keys", "ledger_lines"):
        protect(table, web_role=_WEB, column="account_id")
