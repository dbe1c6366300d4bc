"""Settings every service shares; read from the environment, then from ``.env`` (the environment wins)."""

from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import Field, PostgresDsn, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError


class ServiceSettings(BaseSettings):
    """What every service needs to run; each service's own settings extend it."""

    model_config = SettingsConfigDict(
        env_prefix="CLAWDEPLOY_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    database_url: SecretStr
    database_web_url: SecretStr
    database_pool_size: int = Field(default=10, ge=2, le=200)
    database_idle_transaction_seconds: int = Field(default=30, ge=1, le=3600)
    kafka_bootstrap_servers: str
    kafka_idempotence: bool = True
    kafka_fetch_max_wait_ms: int = Field(default=100, ge=1, le=60_000)
    kafka_session_timeout_ms: int = Field(default=10_000, ge=500, le=300_000)
    kafka_partitions: int = Field(default=24, ge=1, le=1000)
    kafka_replication_factor: int = Field(default=1, ge=1, le=15)
    internal_secret: SecretStr = Field(min_length=32)
    internal_secret_previous: SecretStr | None = Field(default=None, min_length=32)
    log_format: str = Field(default="json", pattern="^(json|console)$")
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    metrics_token: SecretStr | None = None
    trace_sql: bool = False
    relay_poll_seconds: float = Field(default=0.2, gt=0, le=60)
    sentry_dsn: SecretStr | None = Field(default=None, validation_alias="SENTRY_DSN")

    @field_validator("database_url", "database_web_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr) -> SecretStr:
        PostgresDsn(value.get_secret_value())
        return value

    @field_validator("sentry_dsn", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def secrets(self) -> list[str]:
        """Every secret that the environment gave this service, and the passwords in its addresses: what must never be told."""
        given = [value.get_secret_value() for _, value in self if isinstance(value, SecretStr)]
        return given + [password for value in given if (password := urlsplit(value).password)]


Settings = TypeVar("Settings", bound=ServiceSettings)


def from_environment(settings: type[Settings]) -> Settings:
    """A service's settings; a process that cannot have them ends with one line for each variable, and without a value in it.

    Raises:
        SystemExit: a variable is missing, or is not what it must be.
    """
    try:
        return settings.model_validate({})
    except ValidationError as error:
        wrong = [f"{_variable(each['loc'])}: {each['msg']}" for each in error.errors(include_input=False)]
    except SettingsError as error:
        wrong = [str(error)]
    raise SystemExit("\n".join(["This service cannot start with these settings:", *wrong]))


def _variable(place: tuple[int | str, ...]) -> str:
    """The environment's name of what pydantic calls by its alias, or by its field."""
    name = str(place[0]) if place else "settings"
    return name if name.isupper() else f"{ServiceSettings.model_config.get('env_prefix')}{name}".upper()
