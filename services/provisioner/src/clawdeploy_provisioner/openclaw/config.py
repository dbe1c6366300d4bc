"""What is chosen for an agent, apart from where it runs."""

import re
import secrets
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from clawdeploy_provisioner.openclaw.channels import Channel

LLM_KEY_VARIABLE = "LLM_API_KEY"
"""Never OPENROUTER_API_KEY: with that name in the environment OpenClaw tries to install a web-search plugin at every start."""

OVERRIDABLE = frozenset({"agents", "commands", "cron", "messages", "session", "skills", "tools"})
"""Sections of openclaw.json a person may add to; the others decide who gets in and who pays."""

_HEADER = re.compile(r"x-claw-[0-9a-f]{16}")
ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/~-]{0,127}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GatewayIdentity(_Frozen):
    """Who the platform is to one gateway: a header whose very name is a secret of that instance, and the one user it may name."""

    header: str = Field(repr=False, pattern=_HEADER)
    user: str = Field(pattern=r"^[^@\s]+@[^@\s]+$")

    @classmethod
    def for_instance(cls, instance_id: UUID) -> Self:
        """A new identity; keep it, because a running gateway knows no other."""
        return cls(header=f"x-claw-{secrets.token_hex(8)}", user=f"owner@{instance_id}.clawdeploy.local")


class ModelEntry(_Frozen):
    """A model of the catalogue; ``id`` is OpenRouter's, such as ``anthropic/claude-opus-4.5``."""

    id: ModelId
    name: str = Field(min_length=1, max_length=255)

    @property
    def ref(self) -> str:
        """How OpenClaw names it."""
        return f"openrouter/{self.id}"


class AgentConfig(_Frozen):
    """One version of what a person chose; a provider renders it for the place where the agent runs.

    A channel whose token is not in the bundle's environment is left out, so that the agent still comes up.
    """

    identity: GatewayIdentity
    llm_base_url: str = Field(pattern=r"^https?://[^\s]+$")
    model: ModelId
    models: tuple[ModelEntry, ...] = ()
    channels: tuple[Channel, ...] = ()
    dm_policy: Literal["pairing", "allowlist", "disabled"] = "pairing"
    allow_from: tuple[str, ...] = ()
    plugins: Literal["lean", "full"] = "lean"
    allowed_origins: tuple[str, ...] = ()
    overrides: dict[str, JsonValue] = Field(default_factory=dict)

    @field_validator("overrides")
    @classmethod
    def _only_open_sections(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        closed = sorted(set(value) - OVERRIDABLE)
        if closed:
            raise ValueError(f"these sections belong to the platform: {', '.join(closed)}")
        return value

    @model_validator(mode="after")
    def _catalogue_holds_the_model(self) -> Self:
        if self.models and self.model not in {entry.id for entry in self.models}:
            raise ValueError(f"model {self.model} is not in the catalogue")
        return self

    @property
    def catalogue(self) -> tuple[ModelEntry, ...]:
        """Every model the agent may be switched to; at least the chosen one."""
        return self.models or (ModelEntry(id=self.model, name=self.model),)
