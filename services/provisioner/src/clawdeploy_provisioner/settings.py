"""The provisioner's settings."""

import base64
import binascii
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AliasChoices, Field, SecretStr, field_validator

from clawdeploy_common.settings import ServiceSettings
from clawdeploy_provisioner.encryption import EncryptionKeys
from clawdeploy_provisioner.providers.digitalocean.client import BASE_URL as DIGITALOCEAN_URL
from clawdeploy_provisioner.providers.docker.settings import LOCAL_HOST, OFFICIAL_IMAGE, DockerHost
from clawdeploy_provisioner.providers.hetzner.client import BASE_URL as HETZNER_URL
from clawdeploy_provisioner.providers.ovh.client import BASE_URL as OVH_URL

_KEY_BYTES = 32


class ProvisionerSettings(ServiceSettings):
    """What only the provisioner knows: the encryption key, the management key, and how patient operations are."""

    port: int = Field(default=8801, ge=0, le=65535)
    encryption_key: SecretStr = Field(validation_alias="ENCRYPTION_KEY")
    encryption_key_previous: SecretStr | None = Field(default=None, validation_alias="ENCRYPTION_KEY_PREVIOUS")
    openrouter_management_key: SecretStr | None = Field(default=None, validation_alias="OPENROUTER_MANAGEMENT_KEY")
    openrouter_base_url: str = Field(default="https://openrouter.ai/api/v1", validation_alias="OPENROUTER_BASE_URL")
    api_url: str = "http://127.0.0.1:8787"
    public_url: str = Field(
        default="http://127.0.0.1:8787", validation_alias=AliasChoices("CLAWDEPLOY_PUBLIC_URL", "NEXTAUTH_URL")
    )
    providers: str = "docker,process"
    instances_dir: str = ".clawdeploy/instances"
    tools_dir: str = ".clawdeploy/tools"
    process_port_first: Annotated[int, Field(ge=1024, le=65000)] = 21_000
    process_port_count: Annotated[int, Field(ge=1, le=300)] = 40
    docker_hosts: str = LOCAL_HOST
    docker_port_first: Annotated[int, Field(ge=1024, le=65_535)] = 10_000
    docker_port_last: Annotated[int, Field(ge=1024, le=65_535)] = 20_000
    openclaw_image: str = Field(default=OFFICIAL_IMAGE, validation_alias="OPENCLAW_IMAGE", min_length=1)
    clouds: str = ""
    emulated_clouds: str = ""
    platform_id: str = Field(default="clawdeploy", pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
    hetzner_api_token: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("HETZNER_API_TOKEN", "HCLOUD_TOKEN")
    )
    hetzner_base_url: str = HETZNER_URL
    hetzner_image: str = "ubuntu-24.04"
    hetzner_max_hourly: Annotated[Decimal, Field(gt=0)] = Decimal("0.10")
    digitalocean_token: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("DIGITALOCEAN_API_TOKEN", "DIGITALOCEAN_TOKEN")
    )
    digitalocean_base_url: str = DIGITALOCEAN_URL
    digitalocean_image: str = "ubuntu-24-04-x64"
    digitalocean_max_hourly: Annotated[Decimal, Field(gt=0)] = Decimal("0.10")
    ovh_application_key: str | None = Field(default=None, validation_alias="OVH_APPLICATION_KEY")
    ovh_application_secret: SecretStr | None = Field(default=None, validation_alias="OVH_APPLICATION_SECRET")
    ovh_consumer_key: SecretStr | None = Field(default=None, validation_alias="OVH_CONSUMER_KEY")
    ovh_base_url: Annotated[str, Field(pattern=r"/1\.0/?$")] = OVH_URL
    ovh_subsidiary: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "FR"
    ovh_image: str = Field(default="Debian 12", min_length=1)
    ovh_max_monthly: Annotated[Decimal, Field(gt=0)] = Decimal(15)
    ovh_ssh_port: Annotated[int, Field(ge=1, le=65_535)] = 22
    ovh_delivery_seconds: Annotated[float, Field(ge=0, le=604_800)] = 7200.0
    cloud_visibility_seconds: Annotated[float, Field(ge=0, le=600)] = 5.0
    cloud_inventory_seconds: Annotated[float, Field(ge=0.2, le=3600)] = 30.0
    operation_lease_seconds: Annotated[float, Field(ge=1, le=600)] = 15.0
    operation_concurrency: Annotated[int, Field(ge=1, le=1000)] = 20
    provider_concurrency: Annotated[int, Field(ge=1, le=1000)] = 8
    stalled_after_seconds: Annotated[int, Field(ge=1)] = 1200
    provider_call_seconds: Annotated[float, Field(ge=1, le=600)] = 30.0
    # OpenClaw's own check takes 4 s on an idle machine; two cores with ten things to do need half a minute and more
    check_seconds: Annotated[float, Field(ge=1, le=600)] = 120.0
    start_seconds: Annotated[float, Field(ge=1, le=600)] = 90.0
    kept_state_max_mb: Annotated[int, Field(ge=1, le=100_000)] = 512
    agent_heartbeat_seconds: Annotated[float, Field(ge=0.05, le=3600)] = 30.0
    agent_busy_heartbeat_seconds: Annotated[float, Field(ge=0.05, le=3600)] = 2.0
    inventory_seconds: Annotated[float, Field(ge=0.2, le=600)] = 5.0
    key_sweep_seconds: Annotated[float, Field(ge=0.2, le=86_400)] = 300.0
    orphan_age_seconds: Annotated[float, Field(ge=0)] = 120.0
    llm_key_grace_seconds: Annotated[float, Field(ge=0)] = 600.0
    sealing_key_days: Annotated[float, Field(gt=0, le=36_500)] = 90.0
    sealing_round_seconds: Annotated[float, Field(ge=0.05, le=86_400)] = 60.0
    sealing_key_grace_seconds: Annotated[float, Field(ge=0)] = 600.0
    llm_call_seconds: Annotated[float, Field(ge=1, le=120)] = 10.0

    @field_validator("encryption_key", "encryption_key_previous")
    @classmethod
    def _is_32_bytes(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            decoded = base64.b64decode(value.get_secret_value(), validate=True)
        except binascii.Error as error:
            raise ValueError("must be base64") from error
        if len(decoded) != _KEY_BYTES:
            raise ValueError("must be the base64 of 32 bytes")
        return value

    @field_validator("docker_hosts")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        names = [DockerHost.parse(part).name for part in value.split(",")]
        if len(set(names)) < len(names):
            raise ValueError("every Docker host needs a name of its own")
        return value

    @field_validator("openrouter_management_key", mode="before")
    @classmethod
    def _no_key_is_none(cls, value: object) -> object:
        return value or None

    @property
    def encryption_keys(self) -> EncryptionKeys:
        """What protects keys at rest."""
        previous = self.encryption_key_previous
        return EncryptionKeys(
            current=base64.b64decode(self.encryption_key.get_secret_value()),
            previous=base64.b64decode(previous.get_secret_value()) if previous else None,
        )

    @property
    def orphan_age(self) -> timedelta:
        """How long an unrecorded resource is watched before it is removed."""
        return timedelta(seconds=self.orphan_age_seconds)

    @property
    def docker_engines(self) -> tuple[DockerHost, ...]:
        """The engines of the ``docker`` provider; new agents go to the first unless their region names another."""
        return tuple(DockerHost.parse(part) for part in self.docker_hosts.split(","))

    @property
    def provider_names(self) -> list[str]:
        """The providers switched on: local ones, then cloud accounts."""
        return list(dict.fromkeys([*_names(self.providers), *self.cloud_names]))

    @property
    def cloud_names(self) -> list[str]:
        """The cloud accounts that are connected."""
        return _names(self.clouds)

    @property
    def emulated(self) -> frozenset[str]:
        """The clouds that are stand-ins on this machine."""
        return frozenset(_names(self.emulated_clouds))


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]
