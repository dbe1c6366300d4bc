"""The operations engine stays small enough to be read in one sitting (ADR 0001)."""

import ast
from pathlib import Path

import clawdeploy_provisioner.operations

ALLOWED = 500


def statements(source: str) -> int:
    """Statements, however a formatter wraps them: neither imports nor docstrings, blank lines, comments or the lines of SQL texts."""
    return sum(
        isinstance(node, ast.stmt)
        and not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in ast.walk(ast.parse(source))
    )


def test_the_engine_has_fewer_than_500_statements() -> None:
    folder = Path(clawdeploy_provisioner.operations.__file__ or "").parent
    assert 0 < sum(statements(path.read_text()) for path in folder.glob("*.py")) < ALLOWED


def test_only_what_does_something_counts() -> None:
    assert (
        statements('"""Doc."""\nimport os\n\nx = text(\n    """\n    SELECT 1\n    """\n)\n# why\nif x:\n    y = 1\n')
        == 3
    )
