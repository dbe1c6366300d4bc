"""What happened to operations, servers and keys; produced by ``provisioner``."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from clawdeploy_common.events import Event, TolerantEnum


class OperationKind(TolerantEnum):
    """What an operation does."""

    DEPLOY = "deploy"
    REDEPLOY = "redeploy"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    PAUSE = "pause"
    RESUME = "resume"
    SUSPEND = "suspend"
    UNSUSPEND = "unsuspend"
    APPLY_CONFIG = "apply_config"
    DESTROY = "destroy"
    UNKNOWN = "unknown"


class StepState(TolerantEnum):
    """Where one step of an operation stands."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    COMPENSATED = "compensated"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class ServerState(TolerantEnum):
    """A server as its provider sees it."""

    CREATING = "creating"
    RUNNING = "running"
    OFF = "off"
    ERROR = "error"
    GONE = "gone"
    UNKNOWN = "unknown"


class _OperationEvent(BaseModel):
    operation_id: UUID
    kind: OperationKind


class PlannedStep(BaseModel):
    """A step an operation will take."""

    name: str = Field(examples=["mint_llm_key"])
    title: str = Field(examples=["Mint the LLM key"])


class OperationStarted(Event, _OperationEvent, type="operation.started.v1", producer="provisioner"):
    """An operation began; its steps are known."""

    steps: list[PlannedStep]


class OperationCompleted(Event, _OperationEvent, type="operation.completed.v1", producer="provisioner"):
    """An operation reached its end."""


class OperationFailed(Event, _OperationEvent, type="operation.failed.v1", producer="provisioner"):
    """An operation failed and undid what it had done."""

    reason: str
    step: str | None = None


class OperationCancelled(Event, _OperationEvent, type="operation.cancelled.v1", producer="provisioner"):
    """An operation was cancelled (by a person, or by a destroy) or replaced before it began."""

    reason: str


class OperationStepChanged(
    Event, _OperationEvent, type="operation.step_changed.v1", producer="provisioner", internal=True
):
    """A step began, ended, failed or was undone; ``message`` is redacted."""

    step: str
    state: StepState
    attempt: int = 1
    message: str | None = None
    changed_at: datetime


class DeploymentSucceeded(Event, type="deployment.succeeded.v1", producer="provisioner"):
    """An instance was deployed and verified."""

    operation_id: UUID
    server_id: UUID
    endpoint: str | None = Field(default=None, examples=["http://127.0.0.1:21000"])


class DeploymentFailed(Event, type="deployment.failed.v1", producer="provisioner"):
    """A deployment failed; what it had created was given back or is owed as clean-up."""

    operation_id: UUID
    reason: str
    step: str | None = None


class DeploymentCancelled(Event, type="deployment.cancelled.v1", producer="provisioner"):
    """A deployment was cancelled and its resources given back."""

    operation_id: UUID


class DeploymentCancelRejected(Event, type="deployment.cancel_rejected.v1", producer="provisioner"):
    """A deployment had ended before the cancellation arrived."""

    operation_id: UUID
    reason: str


class ServerIntended(Event, type="server.intended.v1", producer="provisioner"):
    """A server will be asked for; committed before the provider is called."""

    server_id: UUID
    provider: str = Field(examples=["process"])
    region: str = Field(examples=["local"])
    operation_id: UUID


class ServerCreated(Event, type="server.created.v1", producer="provisioner"):
    """The provider accepted a server; metering starts at ``accepted_at``."""

    server_id: UUID
    operation_id: UUID
    provider: str = Field(examples=["process"])
    region: str = Field(examples=["local"])
    plan: str = Field(examples=["basic"])
    price_version: int
    provider_ref: str
    accepted_at: datetime


class ServerDestroyed(Event, type="server.destroyed.v1", producer="provisioner"):
    """The provider confirmed a server's deletion; metering stops at ``destroyed_at``. What is sold by the month is there, empty,
    until ``paid_until``: its cost is what the provider charges until then. ``refunded``: the provider itself cancelled the order, and it
    cost nothing.
    """

    server_id: UUID
    provider: str = Field(examples=["process"])
    destroyed_at: datetime
    paid_until: datetime | None = Field(
        default=None,
        description="where the provider goes on charging: the end of the month that was paid ahead, by its own word",
    )
    refunded: bool = Field(default=False, description="the provider cancelled the order and pays it back")


class ServerStateChanged(Event, type="server.state_changed.v1", producer="provisioner"):
    """The inventory saw a server in another state than before."""

    server_id: UUID
    state: ServerState
    previous: ServerState
    detail: str | None = None
    observed_at: datetime
    restarts: int = 0


class SealingKeyAnnounced(Event, type="sealing_key.announced.v1", producer="provisioner"):
    """Secrets are to be sealed to this key from now on; its key is the sealing key's id."""

    public_key: str = Field(description="X25519 public key, 32 bytes in base64")
    algorithm: str = "HPKE-X25519-HKDF-SHA256-AES-256-GCM"


class SecretResealed(Event, type="secret.resealed.v1", producer="provisioner"):
    """A secret was sealed again, to a newer key; its content and version are the same, its bytes are fetched by the gateway."""

    name: str = Field(examples=["bot_token"])
    version: int
    sealed_hash: str = Field(description="SHA-256 of the sealed bytes, hex")
    sealing_key_id: UUID


class LlmKeyMinted(Event, type="llm_key.minted.v1", producer="provisioner"):
    """An LLM key exists for the instance; the secret itself never travels in events."""

    key_hash: str = Field(description="SHA-256 of the key, hex: OpenRouter's own name for it")
    provider: str = Field(default="openrouter", examples=["openrouter"])
    limit_micros: int
    price_version: int
    minted_at: datetime


class LlmKeyRevoked(Event, type="llm_key.revoked.v1", producer="provisioner"):
    """An LLM key was disabled; it is deleted ten minutes later, after the last reading."""

    key_hash: str
    revoked_at: datetime


class InstanceStarted(Event, type="instance.started.v1", producer="provisioner"):
    """The instance's process is up; health follows by itself."""

    server_id: UUID
    probe_url: str | None = Field(default=None, description="base address monitor may probe directly")
    endpoint: str | None = None
    started_at: datetime


class InstanceStopped(Event, type="instance.stopped.v1", producer="provisioner"):
    """The instance's process is down because somebody asked."""

    server_id: UUID
    stopped_at: datetime
    reason: str = Field(default="stopped", examples=["stopped", "paused", "suspended"])


class InstanceDestroyed(Event, type="instance.destroyed.v1", producer="provisioner"):
    """Nothing of the instance is left at any provider, or what is left is owed as clean-up."""

    destroyed_at: datetime


class ConfigApplied(Event, type="config.applied.v1", producer="provisioner"):
    """A configuration version is live."""

    version: int
    content_hash: str


class ConfigRejected(Event, type="config.rejected.v1", producer="provisioner"):
    """OpenClaw refused a configuration version; the one before stays live."""

    version: int
    issues: list[str]


class CleanupOwed(Event, type="cleanup.owed.v1", producer="provisioner"):
    """A resource could not be removed; it will be tried until the provider confirms."""

    debt_id: UUID
    resource: str = Field(examples=["server", "llm_key"])
    provider: str = Field(examples=["process"])
    provider_ref: str
    reason: str


class CleanupSettled(Event, type="cleanup.settled.v1", producer="provisioner"):
    """A clean-up debt was paid: the provider confirmed."""

    debt_id: UUID


class OrphanFound(Event, type="orphan.found.v1", producer="provisioner"):
    """A labelled resource is not the recorded one; the key is the resource's id."""

    provider: str = Field(examples=["process"])
    resource: str
    provider_ref: str


class OrphanRemoved(Event, type="orphan.removed.v1", producer="provisioner"):
    """An orphan was removed; the key is the resource's id."""

    provider: str = Field(examples=["process"])
    resource: str
    provider_ref: str
