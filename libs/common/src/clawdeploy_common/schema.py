"""Pieces of migrations that every service's first revision uses. What is here is frozen: a change is a new file and a new revision."""

from pathlib import Path

from alembic import op

_DDL = Path(__file__).parent / "ddl"


def create_machinery(*, web_role: str) -> None:
    """Create the machinery's tables (version 1); the web role may add events and jobs, and read neither."""
    run_file(_DDL / "machinery_1.sql")
    op.execute(f"GRANT SELECT, INSERT, UPDATE ON streams TO {web_role}")
    op.execute(f"GRANT INSERT ON outbox TO {web_role}")
    op.execute(f"GRANT INSERT ON jobs TO {web_role}")
    op.execute(f"GRANT SELECT (kind, dedupe_key) ON jobs TO {web_role}")


def create_feed(*, web_role: str) -> None:
    """Create the account feed (version 1); the web role reads its account's entries only."""
    run_file(_DDL / "feed_1.sql")
    protect("account_feed", web_role=web_role, rights="SELECT")
    protect("account_feed_positions", web_role=web_role, rights="SELECT")


def protect(table: str, *, web_role: str, rights: str = "SELECT", column: str = "account_id") -> None:
    """Put a table behind the tenant wall: the web role has ``rights`` on rows of the transaction's account and on no others.

    The account is set with ``set_config('clawdeploy.account', …, true)``; unset or empty, nothing is visible (law 11).
    """
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"GRANT {rights} ON {table} TO {web_role}")
    op.execute(
        f"CREATE POLICY tenant ON {table} TO {web_role} "
        f"USING ({column} = nullif(current_setting('clawdeploy.account', true), '')::uuid)"
    )


def run_file(path: Path) -> None:
    """Run the statements of a file of SQL; an empty line ends each."""
    for statement in path.read_text().split(";\n\n"):
        op.execute(statement.rstrip().rstrip(";"))
