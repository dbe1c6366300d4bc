"""An instance, and what is sent to make or change one."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from clawdeploy_api.public.operation import OperationSummary
from clawdeploy_api.public.texts import bounded_json, display_text
from clawdeploy_api.status import ChannelStatus, Status

SLUG = r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$"
HIDDEN = "***"

Name = Annotated[str, Field(min_length=1, max_length=255, examples=["My agent"]), AfterValidator(display_text)]
_SHAPE = r"\*\*\*|[\x21-\x7e]{4,512}"

SecretText = Annotated[
    str,
    Field(
        pattern=f"^(?:{_SHAPE})$",
        description="Write-only: 4 to 512 printable ASCII characters. Omitted, null or `***` leaves it as it is.",
    ),
]
SecretChange = Annotated[
    str,
    Field(
        pattern=f"^(?:{_SHAPE})?$",
        description="As when it was made; an empty text removes it.",
    ),
]
KeyProvider = Literal["openrouter", "anthropic", "openai", "google"]
Choice = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$")]
Section = Annotated[dict[str, JsonValue], AfterValidator(bounded_json)]


class InstanceConfig(BaseModel):
    """What a person adds to an agent's configuration; the sections are OpenClaw's own."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"dm_policy": "pairing"}]})

    plugins: Literal["lean", "full"] | None = Field(default=None, description="lean (default): what chat needs")
    dm_policy: Literal["pairing", "allowlist", "disabled"] | None = None
    allow_from: list[Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]] | None = Field(
        default=None, max_length=100
    )
    agents: Section | None = None
    commands: Section | None = None
    cron: Section | None = None
    messages: Section | None = None
    session: Section | None = None
    skills: Section | None = None
    tools: Section | None = None


class CreateInstance(BaseModel):
    """What an instance is made from."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "My agent", "model": "gpt-5.2", "channel": "telegram"}]},
    )

    name: Name
    model: Choice = Field(description="a model of the catalogue, or an alias", examples=["gpt-5.2"])
    channel: Choice = Field(description="a channel of the catalogue", examples=["telegram"])
    provider: Choice | None = Field(default=None, description="default: the first one switched on")
    plan: Choice | None = Field(default=None, description="default: the account's plan")
    region: Choice | None = Field(default=None, description="default: the provider's first region")
    slug: Annotated[str, Field(pattern=SLUG, examples=["my-agent"])] | None = Field(
        default=None, description="default: made from the name, with a suffix when taken"
    )
    bot_token: SecretText | None = Field(default=None, description="the channel's bot token; write-only")
    api_key: dict[KeyProvider, SecretText] | None = Field(
        default=None, description="the owner's own LLM keys by provider; write-only"
    )
    config: InstanceConfig | None = None


class ChangeInstance(BaseModel):
    """What is to change; what is omitted (or null) stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "My other name"}, {"status": "stopped"}]}
    )

    name: Name | None = None
    status: Literal["running", "stopped"] | None = None
    bot_token: SecretChange | None = None
    api_key: dict[KeyProvider, SecretChange] | None = None
    config: InstanceConfig | None = Field(default=None, description="replaces the whole configuration")


InPlace = Annotated[
    bool,
    Field(
        description="Redeploy on the server it has: its disk is wiped, its address and its price stay. "
        "For servers of cloud accounts only."
    ),
]


KeepState = Annotated[
    bool,
    Field(
        description="Carry what the agent knows over to the new server: OpenClaw's state (sessions, memory, pairings) and its workspace. "
        "Without it all of that is lost. Left out are caches, logs, locks and every `node_modules`; plugins are installed anew."
    ),
]


class Redeployment(BaseModel):
    """How to redeploy."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"keep_state": True}]})

    in_place: InPlace = False
    keep_state: KeepState = False


FRESH = Redeployment()
"""On a new server, with nothing of the old one."""


class ActionRequest(BaseModel):
    """An action by name; `in_place` and `keep_state` belong to `redeploy`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"action": "restart"}]})

    action: Literal["start", "stop", "restart", "redeploy", "pause", "resume", "destroy"]
    in_place: InPlace = False
    keep_state: KeepState = False

    @model_validator(mode="after")
    def _belongs_to_redeploy(self) -> "ActionRequest":
        if (self.in_place or self.keep_state) and self.action != "redeploy":
            raise ValueError("in_place and keep_state belong to redeploy")
        return self

    @property
    def how(self) -> Redeployment:
        """How to redeploy."""
        return Redeployment(in_place=self.in_place, keep_state=self.keep_state)


class Health(BaseModel):
    """What was observed: the process and its channel are two things."""

    process: str = Field(examples=["healthy"])
    channel: str = Field(examples=["ready"])
    observed_at: datetime | None


class Instance(BaseModel):
    """An agent of one's own: what is wanted, what was told, and what was observed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e01",
                    "name": "My agent",
                    "slug": "my-agent",
                    "model": "gpt-5.2",
                    "channel": "telegram",
                    "provider": "process",
                    "emulated": False,
                    "plan": "basic",
                    "region": "local",
                    "status": "running",
                    "status_reason": None,
                    "desired_status": "running",
                    "channel_status": "needs_token",
                    "channel_status_reason": None,
                    "endpoint": "http://127.0.0.1:21000",
                    "config": {},
                    "config_version": 1,
                    "applied_config_version": 1,
                    "bot_token": None,
                    "api_key": None,
                    "provider_server_id": "4711",
                    "server_paid_until": None,
                    "public_address": None,
                    "private_address": "127.0.0.1:21000",
                    "health": {"process": "healthy", "channel": "disabled", "observed_at": "2026-11-21T10:00:05Z"},
                    "operation": None,
                    "created_at": "2026-11-21T09:59:00Z",
                    "updated_at": "2026-11-21T09:59:00Z",
                    "deployed_at": "2026-11-21T09:59:40Z",
                    "last_heartbeat_at": "2026-11-21T10:00:05Z",
                    "observed_at": "2026-11-21T10:00:05Z",
                    "deleted_at": None,
                }
            ]
        }
    )

    id: UUID
    name: str
    slug: str
    model: str
    channel: str
    provider: str
    emulated: bool = Field(description="the provider is a stand-in: no real cloud, no real machine")
    plan: str
    region: str
    status: Status
    status_reason: str | None
    desired_status: str
    channel_status: ChannelStatus
    channel_status_reason: str | None = Field(description="why the channel fails")
    endpoint: str | None
    config: dict[str, Any]
    config_version: int = Field(description="the version that is wanted")
    applied_config_version: int | None = Field(description="the version that is live")
    bot_token: Literal["***"] | None
    api_key: dict[str, Literal["***"]] | None
    provider_server_id: str | None
    server_paid_until: datetime | None = Field(
        description="a server that is destroyed stays at the provider, empty and terminating, and is paid by the operator until then"
    )
    public_address: str | None
    private_address: str | None
    health: Health
    operation: OperationSummary | None
    created_at: datetime
    updated_at: datetime
    deployed_at: datetime | None
    last_heartbeat_at: datetime | None
    observed_at: datetime | None
    deleted_at: datetime | None
