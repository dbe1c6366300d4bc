"""The machinery, the feed, and two tables."""

from alembic import op

from clawdeploy_common.schema import create_feed, create_machinery

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create everything."""
    schema = op.get_bind().exec_driver_sql("SELECT current_schema()").scalar_one()
    create_machinery(web_role=f"{schema}_web")
    create_feed(web_role=f"{schema}_web")
    op.execute(
        "CREATE TABLE tallies (key UUID PRIMARY KEY, total BIGINT NOT NULL, events BIGINT NOT NULL, last_version BIGINT NOT NULL)"
    )
    op.execute(
        "CREATE TABLE reactions (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key UUID NOT NULL, version BIGINT NOT NULL, "
        "note TEXT NOT NULL)"
    )
    op.execute(f"GRANT SELECT, INSERT ON reactions TO {schema}_web")
