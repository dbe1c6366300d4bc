"""Asking before something is gone for good."""

import sys

from clawdeploy_cli.errors import Refused
from clawdeploy_cli.render.console import stderr


def confirm(question: str, *, yes: bool) -> None:
    """Go on only with a person's consent.

    Raises:
        Refused: the answer was no, or nobody is there to answer.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("This cannot be undone, and nobody is there to confirm it.", hint="Add --yes.")
    stderr().print(f"{question} [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Refused("Nothing was changed.")
