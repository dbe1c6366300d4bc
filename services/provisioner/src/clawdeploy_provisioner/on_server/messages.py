"""What an agent says and hears; the gateway checks the same shapes at its edge (docs/on-server-agent.md)."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from clawdeploy_provisioner.openclaw.document import RESTART_SECTIONS

Wanted = Literal["running", "stopped"]
Outcome = Literal["applied", "rejected", "rolled_back"]
Line = Annotated[str, Field(max_length=2000)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class GatewayReport(_Message):
    """How the gateway is; ``generation`` is the last wish that was carried out."""

    state: Literal["absent", "stopped", "starting", "ready", "failed"]
    generation: int = Field(ge=0)
    restarts: int = Field(default=0, ge=0)
    detail: Line | None = None
    last_lines: list[Line] = Field(default_factory=list[str], max_length=50)


class ChannelAccount(_Message):
    """What OpenClaw's ``channels.status`` tells of one account, by its own names; ``lastStartAt`` in milliseconds since 1970."""

    running: bool = False
    connected: bool | None = None
    lifecycle: str | None = Field(default=None, max_length=100)
    last_error: Line | None = Field(default=None, alias="lastError")
    last_start_at: float | None = Field(default=None, alias="lastStartAt")


class Heard(_Message):
    """What the agent was told last: its answer may be held open until that changes."""

    wanted: Wanted
    generation: int
    configuration_id: UUID | None


class Heartbeat(_Message):
    """One look of an agent at its server; sizes in bytes."""

    openclaw_version: str | None = Field(default=None, max_length=64)
    cpu_percent: float = Field(ge=0, le=100)
    memory_total_bytes: int = Field(ge=0)
    memory_used_bytes: int = Field(ge=0)
    disk_total_bytes: int = Field(ge=0)
    disk_free_bytes: int = Field(ge=0)
    gateway: GatewayReport
    channel_accounts: dict[str, list[ChannelAccount]] = Field(
        default_factory=dict[str, list[ChannelAccount]], max_length=20
    )
    models: list[Line] = Field(default_factory=list[str], max_length=1000)
    configuration_id: UUID | None = None
    heard: Heard | None = None


class Registered(_Message):
    """Who the agent is from now on; the credential is told once."""

    server_id: UUID
    credential: str = Field(repr=False)
    heartbeat_seconds: float
    configuration_seconds: float


class GatewayWish(_Message):
    """What to bring about."""

    wanted: Wanted
    generation: int


class Instructions(_Message):
    """The answer to a heartbeat."""

    heartbeat_seconds: float
    gateway: GatewayWish
    configuration_id: UUID | None


class AgentConfigurationContent(_Message):
    """A configuration with its secrets, encrypted at rest."""

    version: int
    document: dict[str, JsonValue] = Field(repr=False)
    environment: dict[str, str] = Field(repr=False)
    plugins: list[str] = Field(default_factory=list[str])


class AgentConfigurationAnswer(AgentConfigurationContent):
    """The same, by its id; a change outside the sections that need a restart is taken by a running OpenClaw."""

    id: UUID
    restart_sections: tuple[str, ...] = RESTART_SECTIONS


class ConfigurationResult(_Message):
    """What became of a configuration."""

    result: Outcome
    issues: list[Line] = Field(default_factory=list[str], max_length=100)
