"""What on-server agents say and hear (docs/on-server-agent.md)."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

_ID = "01936f2e-7b1c-7c3e-8f00-6d1c2a9b4e05"
Line = Annotated[str, Field(max_length=2000)]


class Registration(BaseModel):
    """An agent that begins."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"agent_version": "1"}]})

    agent_version: str = Field(max_length=32)


class Registered(BaseModel):
    """Who the agent is from now on; the credential is told once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "server_id": _ID,
                    "credential": "43 characters of base64url",
                    "heartbeat_seconds": 2,
                    "configuration_seconds": 120,
                }
            ]
        }
    )

    server_id: UUID
    credential: str = Field(repr=False)
    heartbeat_seconds: float
    configuration_seconds: float


class GatewayReport(BaseModel):
    """How OpenClaw is on the server; `generation` is the last wish that was carried out."""

    state: Literal["absent", "stopped", "starting", "ready", "failed"]
    generation: int = Field(ge=0)
    restarts: int = Field(default=0, ge=0)
    detail: Line | None = None
    last_lines: list[Line] = Field(default_factory=list[str], max_length=50)


class ChannelAccount(BaseModel):
    """What OpenClaw's `channels.status` tells of one account, by its own names; `lastStartAt` in milliseconds since 1970."""

    running: bool = False
    connected: bool | None = None
    lifecycle: str | None = Field(default=None, max_length=100)
    lastError: Line | None = None  # noqa: N815 - OpenClaw's name
    lastStartAt: float | None = None  # noqa: N815 - OpenClaw's name


class Heard(BaseModel):
    """What the agent was told last: the answer may be held open until that changes."""

    wanted: Literal["running", "stopped"]
    generation: int
    configuration_id: UUID | None


class AgentHeartbeat(BaseModel):
    """One look of an agent at its server; sizes in bytes."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "openclaw_version": "2026.9.6",
                    "cpu_percent": 3.5,
                    "memory_total_bytes": 4005560320,
                    "memory_used_bytes": 1204224000,
                    "disk_total_bytes": 40000000000,
                    "disk_free_bytes": 31000000000,
                    "gateway": {"state": "ready", "generation": 2, "restarts": 0, "detail": None, "last_lines": []},
                    "channel_accounts": {"telegram": [{"running": True, "connected": True, "lifecycle": "ready"}]},
                    "models": ["openrouter/openai/gpt-5.2"],
                    "configuration_id": _ID,
                    "heard": {"wanted": "running", "generation": 2, "configuration_id": _ID},
                }
            ]
        }
    )

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


class GatewayWish(BaseModel):
    """What to bring about; a higher generation with the same word means a restart."""

    wanted: Literal["running", "stopped"]
    generation: int


class AgentInstructions(BaseModel):
    """The answer to a heartbeat."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "heartbeat_seconds": 30,
                    "gateway": {"wanted": "running", "generation": 2},
                    "configuration_id": _ID,
                }
            ]
        }
    )

    heartbeat_seconds: float
    gateway: GatewayWish
    configuration_id: UUID | None


class AgentConfiguration(BaseModel):
    """A configuration for the instance's own agent: the whole of `openclaw.json`, its variables, its plugins."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "version": 1,
                    "document": {"gateway": {"mode": "local", "port": 18789}},
                    "environment": {"LANG": "C.UTF-8"},
                    "plugins": [],
                    "restart_sections": ["env", "gateway", "plugins"],
                }
            ]
        }
    )

    id: UUID
    version: int
    document: dict[str, JsonValue] = Field(repr=False)
    environment: dict[str, str] = Field(repr=False)
    plugins: list[str]
    restart_sections: list[str] = Field(description="a change outside of them is taken by a running OpenClaw")


class ConfigurationResult(BaseModel):
    """What became of a configuration on the server."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"result": "rejected", "issues": ["gateway.port: expected number"]}]}
    )

    result: Literal["applied", "rejected", "rolled_back"]
    issues: list[Line] = Field(default_factory=list[str], max_length=100)
