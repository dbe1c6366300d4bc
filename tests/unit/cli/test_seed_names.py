"""Setting names of other set-ups mean the same here: the environment wins over .env, and our name over theirs."""

from pathlib import Path

import pytest

from clawdeploy_api.settings import ApiSettings
from clawdeploy_billing.settings import BillingSettings
from clawdeploy_cli.settings import CliSettings, load_settings
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_monitor.settings import MonitorSettings
from clawdeploy_provisioner.settings import ProvisionerSettings

NAMES = {
    "public_url": ("CLAWDEPLOY_PUBLIC_URL", "NEXTAUTH_URL", "https://one.example", "https://two.example"),
    "host": ("CLAWDEPLOY_HOST", "SERVER_HOST", "127.0.0.2", "127.0.0.3"),
    "port": ("CLAWDEPLOY_PORT", "SERVER_PORT", "9001", "9002"),
}
NEEDED = {
    "CLAWDEPLOY_DATABASE_URL": "postgresql://a:b@c/d",
    "CLAWDEPLOY_DATABASE_WEB_URL": "postgresql://a:b@c/d",
    "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": "k:9092",
    "CLAWDEPLOY_INTERNAL_SECRET": "an internal secret that is long enough for tests",  # pragma: allowlist secret
    "ENCRYPTION_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",  # pragma: allowlist secret
}
SECRETS = ["CLAWDEPLOY_DATABASE_URL", "CLAWDEPLOY_DATABASE_WEB_URL", "CLAWDEPLOY_INTERNAL_SECRET"]


@pytest.fixture(autouse=True)
def nothing_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for ours, theirs, *_ in NAMES.values():
        monkeypatch.delenv(ours, raising=False)
        monkeypatch.delenv(theirs, raising=False)
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)


def read(field: str) -> set[str]:
    """What the command line and the gateway understood."""
    gateway = ApiSettings()  # pyright: ignore[reportCallIssue] - read from the environment
    return {str(getattr(settings, field)) for settings in (load_settings(), gateway)}


@pytest.mark.parametrize("field", NAMES)
def test_a_seeds_name_is_accepted(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, theirs, _, value = NAMES[field]
    monkeypatch.setenv(theirs, value)
    assert read(field) == {value}


@pytest.mark.parametrize("field", NAMES)
def test_our_own_name_wins(field: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours, theirs, value, other = NAMES[field]
    (tmp_path / ".env").write_text(f"{theirs}={other}\n{ours}={value}\n")
    assert read(field) == {value}
    monkeypatch.setenv(theirs, other)
    monkeypatch.setenv(ours, value)
    assert read(field) == {value}


@pytest.mark.parametrize("field", NAMES)
def test_the_environment_wins_over_dotenv(field: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours, theirs, value, other = NAMES[field]
    (tmp_path / ".env").write_text(f"{ours}={value}\n")
    monkeypatch.setenv(theirs, other)
    assert read(field) == {other}


def test_the_other_services_do_not_take_the_gateways_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_PORT", "9002")
    assert MonitorSettings.model_validate({}).port != 9002


def test_theirs_are_no_tuning_of_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAWDEPLOY_PUBLIC_URL", "https://one.example")
    monkeypatch.setenv("NEXTAUTH_URL", "https://two.example")
    assert not load_settings().tuning.keys() & {"CLAWDEPLOY_PUBLIC_URL", "NEXTAUTH_URL"}


@pytest.mark.parametrize("settings", [ApiSettings, BillingSettings, MonitorSettings, ProvisionerSettings])
def test_no_service_starts_on_a_default_secret(
    settings: type[ServiceSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVARIANT: there is no default secret: what was not given is refused, by name and without its value."""
    settings.model_validate({})
    for name in [*SECRETS, *(["ENCRYPTION_KEY"] if settings is ProvisionerSettings else [])]:
        with monkeypatch.context() as without:
            without.delenv(name)
            with pytest.raises(ValueError, match=r"database_url|database_web_url|internal_secret|ENCRYPTION_KEY"):
                settings.model_validate({})


def test_sentry_is_off_unless_a_dsn_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CliSettings().sentry_dsn is None
    monkeypatch.setenv("SENTRY_DSN", "")
    assert MonitorSettings.model_validate({}).sentry_dsn is None
