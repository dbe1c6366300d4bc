"""The machinery, watches and observations."""

from pathlib import Path

from clawdeploy_common.schema import create_machinery, protect, run_file

revision = "0001"
down_revision = None

_WEB = "monitor_web"


def upgrade() -> None:
    """Create everything."""
    create_machinery(web_role=_WEB)
    run_file(Path(__file__).with_suffix(".sql"))
    protect("watches", web_role=_WEB)
    protect("observations", web_role=_WEB)
