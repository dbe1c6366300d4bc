"""Secrets: made once, private, and given only to who needs them."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from clawdeploy_cli.actions.deploy import read_secrets
from clawdeploy_cli.errors import Failed, UsageProblem
from clawdeploy_cli.home import Home
from clawdeploy_cli.ports import Ports
from clawdeploy_cli.secret_store import Secrets, load_or_create_secrets
from clawdeploy_cli.settings import CliSettings, load_settings
from clawdeploy_cli.supervisor.plan import PlatformPlan, plan_platform

PORTS = Ports(
    gateway=1,
    postgres=2,
    broker=3,
    stand_in=4,
    provisioner=5,
    monitor=6,
    billing=7,
    instances_first=21000,
    instances_count=2,
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliSettings:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "OPENROUTER_MANAGEMENT_KEY", "ENCRYPTION_KEY", "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    return load_settings()


def plan(settings: CliSettings, folder: Path, secrets: Secrets) -> PlatformPlan:
    home = Home(folder / "home")
    home.ensure()
    given = settings.model_copy(update={"database_url": SecretStr("postgresql://admin:pw@127.0.0.1:2/postgres")})
    return plan_platform(given, home=home, ports=PORTS, secrets=secrets)


def values(secrets: Secrets) -> Iterator[str]:
    for value in secrets.model_dump().values():
        yield from value.values() if isinstance(value, dict) else [value]


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = load_or_create_secrets(path)
    assert load_or_create_secrets(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"claw_[A-Za-z0-9_-]{43}", made.bootstrap_api_key)
    assert len(base64.b64decode(made.encryption_key)) == 32
    assert len(made.internal_secret) >= 32
    assert len(made.database_passwords) == 8


def test_damaged_secrets_are_never_made_anew(tmp_path: Path) -> None:
    """INVARIANT: what was sealed with a key is not lost because its file was cut off."""
    path = tmp_path / "secrets.json"
    path.write_text('{"encryption_key": ')
    with pytest.raises(Failed):
        load_or_create_secrets(path)
    assert path.read_text() == '{"encryption_key": '


def test_secrets_do_not_show_when_printed() -> None:
    secrets = Secrets()
    assert not [value for value in values(secrets) if value in repr(secrets)]


def test_only_the_provisioner_gets_the_encryption_key(settings: CliSettings, tmp_path: Path) -> None:
    """INVARIANT: ENCRYPTION_KEY is in the environment of the provisioner and of nothing else."""
    secrets = Secrets()
    specs = plan(settings, tmp_path, secrets).specs
    having = {spec.name for spec in specs if secrets.encryption_key in spec.environment.values()}
    assert having == {"provisioner"}


def test_the_encryption_key_before_goes_to_the_provisioner_only(settings: CliSettings, tmp_path: Path) -> None:
    given = settings.model_copy(update={"encryption_key_previous": SecretStr("the key before")})
    specs = plan(given, tmp_path, Secrets()).specs
    having = {spec.name for spec in specs if spec.environment.get("ENCRYPTION_KEY_PREVIOUS") == "the key before"}
    assert having == {spec.name for spec in specs if "the key before" in spec.environment.values()} == {"provisioner"}


def test_a_service_gets_its_own_database_roles_only(settings: CliSettings, tmp_path: Path) -> None:
    secrets = Secrets()
    for spec in plan(settings, tmp_path, secrets).specs:
        known = " ".join(spec.environment.values())
        roles = {role for role, password in secrets.database_passwords.items() if password in known}
        assert roles <= {spec.name, f"{spec.name}_web"}


def test_no_secret_is_in_a_command_line(settings: CliSettings, tmp_path: Path) -> None:
    secrets = Secrets()
    arguments = " ".join(argument for spec in plan(settings, tmp_path, secrets).specs for argument in spec.argv)
    assert not [value for value in values(secrets) if value in arguments]


def test_a_given_openrouter_key_reaches_who_calls_openrouter_and_no_stand_in_runs(
    settings: CliSettings, tmp_path: Path
) -> None:
    given = settings.model_copy(update={"openrouter_management_key": SecretStr("sk-or-v1-mine")})
    planned = plan(given, tmp_path, Secrets())
    assert not planned.stand_in
    assert {spec.name for spec in planned.specs if "sk-or-v1-mine" in spec.environment.values()} == {
        "provisioner",
        "billing",
    }
    assert "openrouter-stand-in" not in {spec.name for spec in planned.specs}


def test_given_engines_are_watched_and_not_started(settings: CliSettings, tmp_path: Path) -> None:
    given = settings.model_copy(update={"kafka_bootstrap_servers": "kafka.example:9092"})
    planned = {spec.name: spec for spec in plan(given, tmp_path, Secrets()).specs}
    assert planned["postgres"].argv == planned["broker"].argv == ()
    assert planned["api"].environment["CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS"] == "kafka.example:9092"
    assert "CLAWDEPLOY_KAFKA_IDEMPOTENCE" not in planned["api"].environment
    assert planned["api"].environment["CLAWDEPLOY_DATABASE_URL"].startswith("postgresql://api:")


def test_the_services_do_not_inherit_what_the_person_has_in_the_environment(
    settings: CliSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "theirs")
    for spec in plan(settings, tmp_path, Secrets()).specs:
        assert "theirs" not in spec.environment.values()


def test_the_services_optional_settings_are_handed_on_from_the_environment_and_dotenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    planted = "CLAWDEPLOY_API_KEY=claw_x"  # pragma: allowlist secret
    (tmp_path / ".env").write_text(f"CLAWDEPLOY_INVENTORY_SECONDS=3\n{planted}\nOTHER=1\n")
    monkeypatch.setenv("CLAWDEPLOY_START_SECONDS", "30")
    monkeypatch.setenv("CLAWDEPLOY_SOME_SECRET", "hidden")
    environment = {spec.name: spec.environment for spec in plan(load_settings(), tmp_path, Secrets()).specs}["monitor"]
    assert environment["CLAWDEPLOY_INVENTORY_SECONDS"] == "3"
    assert environment["CLAWDEPLOY_START_SECONDS"] == "30"
    assert not environment.keys() & {"CLAWDEPLOY_API_KEY", "CLAWDEPLOY_SOME_SECRET", "OTHER"}


def test_an_agents_secrets_come_from_the_environment() -> None:
    environment = {"TELEGRAM_TOKEN": "1:a", "KEY": "sk-1"}
    assert read_secrets(["bot_token=TELEGRAM_TOKEN", "api_key.openrouter=KEY"], environment=environment) == {
        "bot_token": "1:a",
        "api_key": {"openrouter": "sk-1"},
    }


@pytest.mark.parametrize("pair", ["bot_token", "bot_token=", "bot_token=UNSET", "api_key=KEY", "password=KEY"])
def test_a_wrong_secret_option_is_wrong_usage_and_shows_no_value(pair: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        read_secrets([pair], environment={"KEY": "sk-1"})
    assert "sk-1" not in f"{caught.value.message}{caught.value.hint}"
