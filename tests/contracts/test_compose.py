"""`docker-compose.yml`: valid, complete, and in step with the services' settings."""

import base64
import copy
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from pydantic import AliasChoices

from clawdeploy_api.settings import ApiSettings
from clawdeploy_billing.settings import BillingSettings
from clawdeploy_common.settings import ServiceSettings
from clawdeploy_monitor.settings import MonitorSettings
from clawdeploy_provisioner.settings import ProvisionerSettings
from tests.engines.compose import CHECKOUT, Missing, document, interpolated, made_environment

SPECIFICATION = json.loads((Path(__file__).parent / "specs" / "compose-spec.json").read_text())
SERVICES: dict[str, type[ServiceSettings]] = {
    "api": ApiSettings,
    "provisioner": ProvisionerSettings,
    "monitor": MonitorSettings,
    "billing": BillingSettings,
}
OF_THE_PROCESS = {
    *("HOME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"),
    *("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"),
}
"""Variables that libraries read, not our settings."""
OF_THE_FILE = {
    *("CLAWDEPLOY_KAFKA_REPLICATION_FACTOR", "CLAWDEPLOY_KAFKA_IDEMPOTENCE", "CLAWDEPLOY_KAFKA_FETCH_MAX_WAIT_MS"),
    *("CLAWDEPLOY_PROCESS_PORT_FIRST", "CLAWDEPLOY_PROCESS_PORT_COUNT", "CLAWDEPLOY_EMULATED_CLOUDS"),
}
"""Settings that have no place there: its own Kafka decides them, there are no processes in a container, and no stand-ins."""
SECOND_NAMES = {"HCLOUD_TOKEN", "DIGITALOCEAN_TOKEN", "NEXTAUTH_URL", "SERVER_HOST", "SERVER_PORT"}


def test_the_file_is_valid_by_the_compose_specification() -> None:
    jsonschema_rs.validate(SPECIFICATION, document())


def test_a_mistake_in_it_would_be_found() -> None:
    wrong = copy.deepcopy(document())
    wrong["services"]["api"]["depends_on"]["kafka"]["condition"] = "service_is_nice"
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(SPECIFICATION, wrong)


def test_make_env_gives_everything_the_file_requires(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="scripts/make-env"):
        interpolated(document(), {})
    variables = made_environment(tmp_path)
    assert len(base64.b64decode(variables["ENCRYPTION_KEY"], validate=True)) == 32
    assert "${" not in json.dumps(interpolated(document()["services"], variables))


def test_make_env_keeps_what_there_is_and_adds_what_is_missing(tmp_path: Path) -> None:
    """INVARIANT: nothing is ever lost: the keys that open a platform's secrets least of all."""
    kept = "export ENCRYPTION_KEY=precious\nPOSTGRES_PASSWORD = its own\nMINE=1\nAPI_DB_PASSWORD=\nGATEWAY_HOST=0.0.0.0"
    (tmp_path / ".env").write_text(kept)
    said = _make_env(tmp_path / ".env")
    made = (tmp_path / ".env").read_text()
    assert made.startswith(f"{kept}\n")
    added = dict(line.split("=", 1) for line in made.removeprefix(kept).splitlines() if "=" in line)
    assert not {"ENCRYPTION_KEY", "POSTGRES_PASSWORD", "GATEWAY_HOST"} & set(added)
    assert len(added["API_DB_PASSWORD"]) == 40, "an empty value is a missing one"
    assert "added API_DB_PASSWORD" in said
    assert added["API_DB_PASSWORD"] not in said
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert "has everything already" in _make_env(tmp_path / ".env")
    assert (tmp_path / ".env").read_text() == made
    assert [file.name for file in tmp_path.iterdir()] == [".env"]


def _make_env(file: Path) -> str:
    command = [str(CHECKOUT / "scripts" / "make-env.sh"), str(file)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_two_environments_have_no_secret_in_common(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = made_environment(tmp_path / "one"), made_environment(tmp_path / "two")
    secrets = [name for name in one if name.endswith(("_PASSWORD", "_SECRET", "_KEY")) and one[name]]
    assert len(secrets) >= 12
    assert all(one[name] != two[name] and len(one[name]) >= 20 for name in secrets)
    assert len({one[name] for name in secrets}) == len(secrets)


def test_everything_that_is_mounted_is_in_the_checkout() -> None:
    mounted = [
        volume.partition(":")[0]
        for service in document()["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert len(mounted) >= 4
    assert [path for path in mounted if not (CHECKOUT / path).exists()] == []


def test_every_service_is_scraped_where_it_listens(tmp_path: Path) -> None:
    made = interpolated(document(), made_environment(tmp_path))
    targets = json.loads(made["configs"]["prometheus-targets"]["content"])
    listens = {name: [f"127.0.0.1:{made['services'][name]['environment']['CLAWDEPLOY_PORT']}"] for name in SERVICES}
    assert {target["labels"]["service"]: target["targets"] for target in targets} == listens


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_knows_every_variable_it_is_given_and_starts_with_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: dict[str, Any] = interpolated(document()["services"][name]["environment"], made_environment(tmp_path))
    settings = SERVICES[name]
    known = {variable for each in SERVICES.values() for variable in _variables(each)}
    assert set(environment) - OF_THE_PROCESS <= known
    monkeypatch.chdir(tmp_path)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, str(value))
    made = settings.model_validate({})
    assert made.port == int(environment["CLAWDEPLOY_PORT"])
    assert made.database_url.get_secret_value().startswith(f"postgresql://{name}:")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_be_given_every_setting_that_the_readme_tells_of(name: str) -> None:
    rows = [line for line in (CHECKOUT / "README.md").read_text().splitlines() if line.startswith("| `")]
    told = {word for row in rows for word in re.findall(r"`([A-Z][A-Z_]+)`", row.split("|")[1])}
    assert len(told) > 80
    wanted = (told & _variables(SERVICES[name])) - OF_THE_FILE - SECOND_NAMES
    assert wanted - set(document()["services"][name]["environment"]) == set()


def test_a_variable_without_a_value_is_passed_on_when_there_is_one(tmp_path: Path) -> None:
    provisioner = document()["services"]["provisioner"]["environment"]
    variables = made_environment(tmp_path)
    assert "HETZNER_API_TOKEN" not in interpolated(provisioner, variables)
    assert interpolated(provisioner, variables | {"HETZNER_API_TOKEN": "t"})["HETZNER_API_TOKEN"] == "t"


def _variables(settings: type[ServiceSettings]) -> set[str]:
    found: set[str] = set()
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or f"CLAWDEPLOY_{name}"]
        found |= {str(choice).upper() for choice in choices}
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_powers_it_does_not_need(name: str) -> None:
    service = document()["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    sockets = [volume for volume in service.get("volumes", []) if volume.endswith(":/var/run/docker.sock")]
    assert bool(sockets) == (name == "provisioner")
