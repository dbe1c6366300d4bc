"""The machinery, watches and observations."""

from pathlib import Path

from alembic import op

from clawdeploy_common.schema import create_machinery, protect

revision = "0001"
down_revision = None

_WEB = "monitor_web"


def upgrade() -> None:
    """Create everything."""
    create_machinery(web_role=_WEB)
    for statement in Path(__file__).with_suffix(".sql").read_text().split(";\n\n"):
        op.execute(statement.rstrip().rstrip(";"))
    protect("watches", web_role=_WEB)
    protect("observations", web_role=_WEB)
