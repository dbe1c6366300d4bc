"""What a machine may lack. In CI a lack is a failure; elsewhere the tests that need it are skipped, with the reason."""

import os
from typing import NoReturn

import pytest


class MissingOnThisMachine(Exception):
    """Something that an engine needs is not installed; the message says how to get it."""


def lacking(reason: str) -> NoReturn:
    """End the test: failed in CI (CI=true), else skipped. `-ra`, our default, lists the reason at the end."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"CI must have everything: {reason}", pytrace=False)
    pytest.skip(reason)


def require_root() -> None:
    """Go on only as root, for instance to run processes under other accounts."""
    if os.geteuid() != 0:
        lacking("needs root (processes under accounts of their own)")
