"""The gateway's first schema: accounts, instances, read models, feed.

Revision ID: 0001
"""

from pathlib import Path

from alembic import op

from clawdeploy_common.schema import create_feed, create_machinery, protect, run_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WEB = "api_web"
DDL = Path(__file__).parents[1] / "gateway_1.sql"


def upgrade() -> None:
    """Create everything, and the tenant wall around it."""
    create_machinery(web_role=WEB)
    create_feed(web_role=WEB)
    run_file(DDL)
    protect("accounts", web_role=WEB, rights="SELECT, UPDATE (used)", column="id")
    protect("instances", web_role=WEB, rights="SELECT, INSERT, UPDATE")
    protect("configs", web_role=WEB, rights="SELECT, INSERT")
    protect("secrets", web_role=WEB, rights="SELECT, INSERT")
    protect("operation_requests", web_role=WEB, rights="SELECT, INSERT, UPDATE (cancel_requested_at)")
    protect("audit_log", web_role=WEB, rights="INSERT")
    protect("idempotency_keys", web_role=WEB, rights="SELECT, INSERT")
    for table in ("instance_views", "operations", "operation_steps", "meters", "usage_totals"):
        protect(table, web_role=WEB)
    for table in ("sealing_keys", "price_books"):  # no tenant's: public keys and prices
        op.execute(f"GRANT SELECT ON {table} TO {WEB}")
