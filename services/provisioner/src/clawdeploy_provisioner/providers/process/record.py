"""What one server's directory remembers about itself."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from clawdeploy_provisioner.openclaw.channels import Channel
from clawdeploy_provisioner.openclaw.config import GatewayIdentity


class Launch(BaseModel):
    """A process we started; pid, start time and boot name it beyond doubt. ``automatic``: nobody asked, it had vanished."""

    pid: int
    start_ticks: int
    boot_id: str
    started_at: datetime
    automatic: bool


class Failure(BaseModel):
    """Why the server is in error; a new start forgets it."""

    reason: str
    exit_code: int | None = None
    last_lines: list[str] = Field(default_factory=list[str])
    before_ready: bool = False


class Configured(BaseModel):
    """The configuration in place, as far as starting needs it; ``roomy``: it loads more than the lean set of plugins."""

    version: int
    identity: GatewayIdentity
    channels: list[Channel]
    roomy: bool = False


class ServerRecord(BaseModel):
    """``server.json``: who the server is, what is wanted of it and what became of that."""

    server_id: UUID
    instance_id: UUID
    account_id: UUID
    operation_id: UUID
    slug: str
    region: str
    memory_mb: int
    cpu_millis: int
    port: int
    uid: int | None
    created_at: datetime
    desired: Literal["stopped", "running"] = "stopped"
    configured: Configured | None = None
    plugins: list[Channel] = Field(default_factory=list[Channel])
    launch: Launch | None = None
    restarts: list[datetime] = Field(default_factory=list[datetime])
    failure: Failure | None = None
    disk_was_full: bool = False

    @property
    def owner(self) -> tuple[int, int] | None:
        """(uid, gid) of what the agent may touch; None means the caller's own."""
        return None if self.uid is None else (self.uid, self.uid)
