"""The gateway's settings."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from clawdeploy_common.settings import ServiceSettings

_API_KEY = re.compile(r"claw_[A-Za-z0-9_-]{43}")
Names = Annotated[list[str], NoDecode]


class ApiSettings(ServiceSettings):
    """What only the gateway knows: who may enter, how often, and where the other services are."""

    host: str = Field(default="127.0.0.1", validation_alias=AliasChoices("CLAWDEPLOY_HOST", "SERVER_HOST"))
    port: int = Field(default=8787, ge=0, le=65535, validation_alias=AliasChoices("CLAWDEPLOY_PORT", "SERVER_PORT"))
    provisioner_url: str = "http://127.0.0.1:8801"
    monitor_url: str = "http://127.0.0.1:8802"
    billing_url: str = "http://127.0.0.1:8803"
    public_url: str = Field(
        default="http://127.0.0.1:8787", validation_alias=AliasChoices("CLAWDEPLOY_PUBLIC_URL", "NEXTAUTH_URL")
    )
    upgrade_url: str | None = Field(default=None, description="shown when a quota is reached")
    bootstrap_api_key: SecretStr | None = None
    bootstrap_max_instances: int = Field(default=1000, ge=0)
    providers: Names = Field(default_factory=lambda: ["docker", "process"], min_length=1)
    clouds: Names = Field(default_factory=list[str], description="cloud accounts that are connected")
    emulated_clouds: Names = Field(default_factory=list[str], description="those of them that are stand-ins")
    docker_hosts: Names = Field(default_factory=lambda: ["local=unix:///var/run/docker.sock"], min_length=1)
    default_plan: Literal["free", "basic", "pro", "enterprise"] = "basic"
    cors_origins: Names = Field(default_factory=list[str])
    mutations_per_minute: int = Field(default=60, ge=0, description="per account; 0 is no limit")
    deploys_per_minute: int = Field(default=5, ge=0, description="per account; 0 is no limit")
    streams_per_account: int = Field(default=20, ge=1)
    stream_poll_seconds: float = Field(default=1.0, gt=0, le=5)
    stream_keep_alive_seconds: float = Field(default=15.0, gt=0, le=60)
    stale_after_seconds: float = Field(default=90.0, gt=0)

    @field_validator("providers", "clouds", "emulated_clouds", "docker_hosts", "cors_origins", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """A JSON list, or names separated by commas."""
        if not isinstance(value, str):
            return value
        return (
            json.loads(value) if value.startswith("[") else [part.strip() for part in value.split(",") if part.strip()]
        )

    @field_validator("bootstrap_api_key")
    @classmethod
    def _is_api_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _API_KEY.fullmatch(value.get_secret_value()):
            raise ValueError("must be claw_ and 43 characters of A-Z, a-z, 0-9, _ and -")
        return value

    @property
    def upgrade_address(self) -> str:
        """Where a person finds larger plans."""
        return self.upgrade_url or f"{self.public_url}/v1/catalogue/plans"
