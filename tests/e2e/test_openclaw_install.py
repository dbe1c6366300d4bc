"""Installing OpenClaw when the registry does not answer, and a package that is not what the lock says."""

import json
from pathlib import Path

import pytest

from clawdeploy_provisioner.openclaw.install import OpenClawNotInstalled, ensure_openclaw
from clawdeploy_provisioner.openclaw.tree import LOCKED, Tools
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION


async def test_an_install_that_fails_says_why_and_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "cache": str(tmp_path / "cache"),
        "registry": "http://127.0.0.1:9",
        "fetch_retries": "0",
    }.items():
        monkeypatch.setenv(f"npm_config_{name}", value)
    said: list[str] = []

    async def hear(message: str) -> None:
        said.append(message)

    with pytest.raises(OpenClawNotInstalled, match="npm ended with 1"):
        await ensure_openclaw(tmp_path / "tools", progress=hear)

    tools = Tools(tmp_path / "tools")
    assert said[0].startswith("Laying out Node 24.")
    assert tools.node.is_file()
    assert not tools.openclaw_home.exists()
    assert sorted(path.name for path in tools.root.iterdir()) == [".install.lock", tools.node_home.name]


def test_the_lock_pins_every_package_by_its_content_and_names_no_registry() -> None:
    lock = json.loads((LOCKED / "package-lock.json").read_bytes())
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert packages["node_modules/openclaw"]["version"] == OPENCLAW_VERSION
    assert [name for name, entry in packages.items() if "integrity" not in entry and not entry.get("inBundle")] == []
    assert not any("resolved" in entry for entry in packages.values())
