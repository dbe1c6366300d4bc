"""The machinery."""

from clawdeploy_common.schema import create_machinery

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    create_machinery(web_role="api_web")
