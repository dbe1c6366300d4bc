"""`make test-live` refuses unless everything was said in so many words."""

from decimal import Decimal
from pathlib import Path

import pytest
from tests.live.permission import Permission, Refused

from clawdeploy_cli.settings import CliSettings

ALLOWED = {
    "CLAWDEPLOY_LIVE_YES": "hetzner",
    "CLAWDEPLOY_LIVE_LIMIT_EUR": "1.00",
    "HCLOUD_TOKEN": "h" * 64,
    "CLAWDEPLOY_PUBLIC_URL": "https://claw.example.com",
    "CLAWDEPLOY_PORT": "8787",
    "OPENROUTER_MANAGEMENT_KEY": "k" * 64,
}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # where no .env is
    for name in (*CliSettings.model_fields, *ALLOWED):
        monkeypatch.delenv(name.upper(), raising=False)


def allowed(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> Permission:
    environment = {name: value for name, value in {**ALLOWED, **changes}.items() if value is not None}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Permission.of(environment, CliSettings())


def test_what_was_allowed_is_used_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITALOCEAN_TOKEN", "d" * 64)
    permission = allowed(monkeypatch, CLAWDEPLOY_HETZNER_BASE_URL="http://127.0.0.1:9101/v1")
    assert permission.accounts == {"hetzner": {"HCLOUD_TOKEN": "h" * 64}}
    assert permission.limit == Decimal("1.00")
    assert permission.product["CLAWDEPLOY_HETZNER_BASE_URL"] == "http://127.0.0.1:9101/v1"
    assert not [name for name in permission.product if name.startswith("CLAWDEPLOY_LIVE_") or name.endswith("_TOKEN")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"CLAWDEPLOY_LIVE_YES": None}, "which cost money"),
        ({"CLAWDEPLOY_LIVE_YES": " , "}, "which cost money"),
        ({"CLAWDEPLOY_LIVE_YES": "yes"}, "yes is none of hetzner"),
        ({"CLAWDEPLOY_LIVE_LIMIT_EUR": None}, "may cost at most"),
        ({"CLAWDEPLOY_LIVE_LIMIT_EUR": "as much as it takes"}, "may cost at most"),
        ({"CLAWDEPLOY_LIVE_LIMIT_EUR": "0"}, "may cost at most"),
        ({"CLAWDEPLOY_LIVE_LIMIT_EUR": "Infinity"}, "may cost at most"),
        ({"CLAWDEPLOY_LIVE_LIMIT_EUR": "NaN"}, "may cost at most"),
        ({"HCLOUD_TOKEN": None}, "secrets for hetzner are not set"),
        ({"CLAWDEPLOY_LIVE_YES": "hetzner,digitalocean"}, "secrets for digitalocean are not set"),
        ({"CLAWDEPLOY_LIVE_YES": "ovh"}, "CLAWDEPLOY_LIVE_OVH_MONTH=yes"),
        ({"CLAWDEPLOY_LIVE_YES": "ovh", "CLAWDEPLOY_LIVE_OVH_MONTH": "1"}, "CLAWDEPLOY_LIVE_OVH_MONTH=yes"),
        ({"CLAWDEPLOY_PUBLIC_URL": None}, "must reach this platform"),
        ({"CLAWDEPLOY_PORT": None}, "must reach this platform"),
        ({"OPENROUTER_MANAGEMENT_KEY": None}, "set OPENROUTER_MANAGEMENT_KEY"),
    ],
)
def test_without_it_nothing_is_ordered(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        allowed(monkeypatch, **changes)
