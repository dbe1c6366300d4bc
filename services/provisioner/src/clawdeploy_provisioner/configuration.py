"""From what a person chose to what a provider writes: the bundle of one configuration version."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clawdeploy_events.deployments import SecretReference
from clawdeploy_provisioner.openclaw.channels import CHANNELS, Channel
from clawdeploy_provisioner.openclaw.config import LLM_KEY_VARIABLE, AgentConfig, GatewayIdentity
from clawdeploy_provisioner.operations.facts import OperationFacts
from clawdeploy_provisioner.providers.protocol import Bundle, ConfigurationRejected

OWN_LLM_KEY = "api_key.openrouter"
_VENDOR_VARIABLES = {
    "api_key.anthropic": "ANTHROPIC_API_KEY",
    "api_key.openai": "OPENAI_API_KEY",
    "api_key.google": "GEMINI_API_KEY",
}


class Choice(BaseModel):
    """One version of what is wanted of an agent, from a deployment or from a published configuration."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = Field(validation_alias="config_version")
    model: str
    channel: str
    plugins: Literal["lean", "full"] = "lean"
    secrets: Sequence[SecretReference] = ()


def choice_of(operation: OperationFacts) -> Choice:
    """What this operation is to write: a published version, or the deployment's own."""
    published: Mapping[str, Any] | None = operation.parameters.get("config")
    if published is not None:
        return Choice.model_validate({**published, "config_version": published["version"]})
    return Choice.model_validate(operation.deployment.model_dump())


def variable_of(secret: str, channel: Channel) -> str | None:
    """The environment variable a secret goes to, None for one that no agent reads."""
    if secret == "bot_token":  # noqa: S105 - the secret's name, not a secret  # pragma: allowlist secret
        return CHANNELS[channel].variable
    if secret == OWN_LLM_KEY:
        return LLM_KEY_VARIABLE
    return _VENDOR_VARIABLES.get(secret)


def bundle_of(
    choice: Choice,
    *,
    identity: GatewayIdentity,
    llm_base_url: str,
    origin: str,
    chosen: Mapping[str, Any],
    environment: Mapping[str, str],
) -> Bundle:
    """A bundle a provider can write.

    ``chosen`` is the person's own configuration: ``dm_policy``, ``allow_from`` and sections of openclaw.json.
    Raises ConfigurationRejected when it does not fit.
    """
    own = dict(chosen)
    try:
        config = AgentConfig(
            identity=identity,
            llm_base_url=llm_base_url,
            model=choice.model,
            channels=(Channel(choice.channel),),
            plugins=choice.plugins,
            allowed_origins=(origin,),
            dm_policy=own.pop("dm_policy", "pairing"),
            allow_from=tuple(own.pop("allow_from", ())),
            overrides=own,
        )
    except (ValidationError, TypeError) as error:
        raise ConfigurationRejected(_issues(error)) from error
    return Bundle(config=config, environment=environment, version=choice.version)


def _issues(error: Exception) -> list[str]:
    if not isinstance(error, ValidationError):
        return [str(error)]
    found = cast("list[dict[str, Any]]", error.errors(include_input=False, include_url=False))
    return [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in found]


def new_identity(instance_id: UUID) -> bytes:
    """A new gateway identity, as JSON to be encrypted."""
    return GatewayIdentity.for_instance(instance_id).model_dump_json().encode()
