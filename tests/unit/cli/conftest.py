"""Homes of these tests leave nothing behind on the machine."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nothing_outside(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders that root's homes keep outside a closed parent lie among pytest's own."""
    outside = tmp_path_factory.mktemp("outside")
    monkeypatch.setattr("clawdeploy_cli.home._OUTSIDE", outside)
    return outside
