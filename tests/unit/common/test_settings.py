"""What a service says when its environment cannot be right."""

import base64

import pytest

from clawdeploy_common.settings import from_environment
from clawdeploy_provisioner.settings import ProvisionerSettings

GIVEN = {
    "CLAWDEPLOY_DATABASE_URL": "postgresql://provisioner@127.0.0.1/clawdeploy",
    "CLAWDEPLOY_DATABASE_WEB_URL": "postgresql://provisioner_web@127.0.0.1/clawdeploy",
    "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "CLAWDEPLOY_INTERNAL_SECRET": "s" * 32,
    "ENCRYPTION_KEY": base64.b64encode(bytes(32)).decode(),
}


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, GIVEN | {"CLAWDEPLOY_PORT": "9000"})
    assert from_environment(ProvisionerSettings).port == 9000


def test_what_is_wrong_is_named_as_the_environment_names_it_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"ENCRYPTION_KEY": "mistyped!", "CLAWDEPLOY_INTERNAL_SECRET": "short"}  # pragma: allowlist secret
    _set(monkeypatch, GIVEN | wrong)
    monkeypatch.delenv("CLAWDEPLOY_DATABASE_URL")
    with pytest.raises(SystemExit) as ended:
        from_environment(ProvisionerSettings)
    said = str(ended.value)
    lines = dict(line.split(": ", 1) for line in said.splitlines()[1:])
    assert set(lines) == {"CLAWDEPLOY_DATABASE_URL", "CLAWDEPLOY_INTERNAL_SECRET", "ENCRYPTION_KEY"}
    assert "base64" in lines["ENCRYPTION_KEY"]
    assert "mistyped!" not in said
    assert "short" not in said


def _set(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
