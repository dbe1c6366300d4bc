"""Settings of the command line and of a local platform: the environment, then `.env` of the working directory."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, AliasPath, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_PORT = 8787
LOCAL_DOCKER = "local=unix:///var/run/docker.sock"
CLOUDS = ("hetzner", "digitalocean", "ovh")
ENV_FILE_VARIABLE = "CLAWDEPLOY_ENV_FILE"
_SECRET_ENDINGS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
OPENROUTER_BASE_URL = "https://openrouter.ai/api/v1"


def default_home() -> Path:
    """`.clawdeploy/` in the checkout this package is installed from, else in the working directory."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "requirements.lock").is_file() and (folder / "services").is_dir():
            return folder / ".clawdeploy"
    return Path.cwd() / ".clawdeploy"


class CliSettings(BaseSettings):
    """Everything a person may set; each is optional. Variables win over `.env`."""

    model_config = SettingsConfigDict(
        env_file=os.environ.get(ENV_FILE_VARIABLE, ".env"), extra="allow", env_ignore_empty=True
    )

    home: Annotated[Path, Field(validation_alias="CLAWDEPLOY_HOME")] = Field(default_factory=default_home)
    port: Annotated[
        int | None, Field(validation_alias=AliasChoices("CLAWDEPLOY_PORT", "SERVER_PORT"), ge=1, le=65535)
    ] = None
    host: Annotated[str, Field(validation_alias=AliasChoices("CLAWDEPLOY_HOST", "SERVER_HOST"))] = "127.0.0.1"
    url: Annotated[str | None, Field(validation_alias="CLAWDEPLOY_URL")] = None
    api_key: Annotated[SecretStr | None, Field(validation_alias="CLAWDEPLOY_API_KEY")] = None

    database_url: Annotated[SecretStr | None, Field(validation_alias="DATABASE_URL")] = None
    kafka_bootstrap_servers: Annotated[str | None, Field(validation_alias="CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS")] = None
    openrouter_management_key: Annotated[SecretStr | None, Field(validation_alias="OPENROUTER_MANAGEMENT_KEY")] = None
    openrouter_base_url: Annotated[str, Field(validation_alias="OPENROUTER_BASE_URL")] = OPENROUTER_BASE_URL
    encryption_key: Annotated[SecretStr | None, Field(validation_alias="ENCRYPTION_KEY")] = None
    encryption_key_previous: Annotated[SecretStr | None, Field(validation_alias="ENCRYPTION_KEY_PREVIOUS")] = None
    bootstrap_api_key: Annotated[SecretStr | None, Field(validation_alias="CLAWDEPLOY_BOOTSTRAP_API_KEY")] = None
    metrics_token: Annotated[SecretStr | None, Field(validation_alias="CLAWDEPLOY_METRICS_TOKEN")] = None
    public_url: Annotated[str | None, Field(validation_alias=AliasChoices("CLAWDEPLOY_PUBLIC_URL", "NEXTAUTH_URL"))] = (
        None
    )
    sentry_dsn: Annotated[SecretStr | None, Field(validation_alias="SENTRY_DSN")] = None
    process_port_first: Annotated[int | None, Field(validation_alias="CLAWDEPLOY_PROCESS_PORT_FIRST")] = None
    process_port_count: Annotated[int, Field(validation_alias="CLAWDEPLOY_PROCESS_PORT_COUNT", ge=1, le=400)] = 20
    emulated_clouds: Annotated[str, Field(validation_alias="CLAWDEPLOY_EMULATED_CLOUDS")] = ""
    emulated_machines: Annotated[Literal["real", "hollow"], Field(validation_alias="CLAWDEPLOY_EMULATED_MACHINES")] = (
        "real"
    )
    hetzner_api_token: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("HETZNER_API_TOKEN", "HCLOUD_TOKEN"))
    ] = None
    digitalocean_token: Annotated[
        SecretStr | None, Field(validation_alias=AliasChoices("DIGITALOCEAN_API_TOKEN", "DIGITALOCEAN_TOKEN"))
    ] = None
    ovh_application_key: Annotated[str | None, Field(validation_alias="OVH_APPLICATION_KEY")] = None
    ovh_application_secret: Annotated[SecretStr | None, Field(validation_alias="OVH_APPLICATION_SECRET")] = None
    ovh_consumer_key: Annotated[SecretStr | None, Field(validation_alias="OVH_CONSUMER_KEY")] = None
    openclaw_image: Annotated[str | None, Field(validation_alias="OPENCLAW_IMAGE")] = None
    log_format: Annotated[str, Field(validation_alias="CLAWDEPLOY_LOG_FORMAT")] = "json"

    @property
    def emulated(self) -> tuple[str, ...]:
        """The clouds that get a stand-in: those asked for whose real token is not given; raises UsageProblem for an unknown one."""
        from clawdeploy_cli.errors import UsageProblem  # noqa: PLC0415 - only here

        asked = [name.strip() for name in self.emulated_clouds.split(",") if name.strip()]
        unknown = [name for name in asked if name not in CLOUDS]
        if unknown:
            raise UsageProblem(f"CLAWDEPLOY_EMULATED_CLOUDS: {unknown[0]} is none of {', '.join(CLOUDS)}")
        return tuple(name for name in dict.fromkeys(asked) if name not in self.real_clouds)

    @property
    def real_clouds(self) -> tuple[str, ...]:
        """The clouds whose account was given."""
        return tuple(self.cloud_accounts)

    @property
    def cloud_accounts(self) -> dict[str, dict[str, str]]:
        """What opens the accounts, by cloud, as variables of the provisioner; an account of which a part is missing is none."""
        given = {
            "hetzner": {"HCLOUD_TOKEN": self.hetzner_api_token},
            "digitalocean": {"DIGITALOCEAN_TOKEN": self.digitalocean_token},
            "ovh": {
                "OVH_APPLICATION_KEY": SecretStr(self.ovh_application_key or ""),
                "OVH_APPLICATION_SECRET": self.ovh_application_secret,
                "OVH_CONSUMER_KEY": self.ovh_consumer_key,
            },
        }
        return {
            name: {variable: part.get_secret_value() for variable, part in parts.items() if part}
            for name, parts in given.items()
            if all(parts.values())
        }

    @property
    def docker(self) -> str:
        """The first of the Docker engines, on which emulated servers run."""
        return self.tuning.get("CLAWDEPLOY_DOCKER_HOSTS", LOCAL_DOCKER).split(",")[0].partition("=")[2]

    @property
    def tuning(self) -> dict[str, str]:
        """`CLAWDEPLOY_…` variables that are none of ours and no secrets: the services' optional settings."""
        ours = {name for field in type(self).model_fields.values() for name in _names(field.validation_alias)}
        ours.add(ENV_FILE_VARIABLE)
        return {
            name: value
            for name, value in self._given.items()
            if name.startswith("CLAWDEPLOY_") and name not in ours and not name.endswith(_SECRET_ENDINGS)
        }

    @property
    def telemetry(self) -> dict[str, str]:
        """OpenTelemetry's standard variables, save the one name: every service has its own."""
        return {
            name: value
            for name, value in self._given.items()
            if name.startswith("OTEL_") and name != "OTEL_SERVICE_NAME"
        }

    @property
    def _given(self) -> dict[str, str]:
        """What the file says and, over it, the environment."""
        return {**{name.upper(): str(value) for name, value in (self.model_extra or {}).items()}, **os.environ}


def _names(alias: str | AliasPath | AliasChoices | None) -> list[str]:
    """The variables of a field; the first wins over the others where both are given in one place."""
    return [str(name) for name in alias.choices] if isinstance(alias, AliasChoices) else [str(alias)]


def env_file() -> Path:
    """The file of settings: `.env` of the working directory, unless CLAWDEPLOY_ENV_FILE names another."""
    return Path(os.environ.get(ENV_FILE_VARIABLE, ".env"))


def load_settings() -> CliSettings:
    """Read the environment and `.env`.

    Raises:
        UsageProblem: a value is not what it must be; the message names the variable, never its value.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - already loaded; only the error path needs the name

    from clawdeploy_cli.errors import UsageProblem  # noqa: PLC0415

    try:
        return CliSettings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise UsageProblem(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
