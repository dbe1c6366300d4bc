"""What people and the platform ask for; produced by ``api``."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from clawdeploy_common.events import Event, TolerantEnum
from clawdeploy_common.ids import named_id

BOOTSTRAP_ACCOUNT: UUID = named_id("clawdeploy:account:bootstrap")
"""The first account of every platform: whoever started it. Its id is the same everywhere."""


class RequestedBy(TolerantEnum):
    """Who asked: a person's second request while one waits is refused, the platform's replaces it."""

    PERSON = "person"
    PLATFORM = "platform"
    UNKNOWN = "unknown"


class SecretReference(BaseModel):
    """A sealed secret by name and version; its bytes are fetched by the provisioner when needed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(examples=["bot_token"])
    version: int = Field(examples=[1])


class DeploymentPlan(BaseModel):
    """Everything a deployment needs to know, so that no consumer waits for another topic."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    operation_id: UUID
    slug: str = Field(examples=["demo"])
    provider: str = Field(examples=["process"])
    region: str = Field(examples=["local"])
    plan: str = Field(examples=["basic"])
    price_version: int = Field(examples=[1])
    memory_mb: int = Field(examples=[2048])
    cpu_millis: int = Field(examples=[2000])
    model: str = Field(examples=["openai/gpt-5.2"], description="OpenRouter's id of the model")
    channel: str = Field(examples=["telegram"])
    plugins: Literal["lean", "full"] = "lean"
    config_version: int = Field(examples=[1])
    secrets: list[SecretReference] = Field(default_factory=list[SecretReference])
    llm_key: Literal["minted", "own"] = Field(
        default="minted", description="own: the secret api_key.openrouter is used"
    )
    llm_limit_micros: int = Field(default=0, description="spending limit of a minted key, micro-USD")


class DeploymentRequested(Event, type="deployment.requested.v1", producer="api"):
    """An instance was created; the provisioner is to deploy it."""

    deployment: DeploymentPlan
    requested_by: RequestedBy = RequestedBy.PERSON


class DeploymentCancelRequested(Event, type="deployment.cancel_requested.v1", producer="api"):
    """A running deployment is to be cancelled and its resources given back."""

    operation_id: UUID


class _InstanceRequest(BaseModel):
    operation_id: UUID
    requested_by: RequestedBy = RequestedBy.PERSON


class InstanceStartRequested(Event, _InstanceRequest, type="instance.start_requested.v1", producer="api"):
    """A stopped instance is to run."""


class InstanceStopRequested(Event, _InstanceRequest, type="instance.stop_requested.v1", producer="api"):
    """A running instance is to stop; its server stays."""


class InstanceRestartRequested(Event, _InstanceRequest, type="instance.restart_requested.v1", producer="api"):
    """An instance is to stop and start."""


class InstancePauseRequested(Event, _InstanceRequest, type="instance.pause_requested.v1", producer="api"):
    """An instance's server is to be shut down at the provider, whose charge goes on."""


class InstanceResumeRequested(Event, _InstanceRequest, type="instance.resume_requested.v1", producer="api"):
    """A paused instance's server is to come back."""


class InstanceSuspendRequested(Event, _InstanceRequest, type="instance.suspend_requested.v1", producer="api"):
    """An instance may not run until it is unsuspended."""


class InstanceUnsuspendRequested(Event, _InstanceRequest, type="instance.unsuspend_requested.v1", producer="api"):
    """A suspended instance may run again."""


class InstanceRedeployRequested(Event, _InstanceRequest, type="instance.redeploy_requested.v1", producer="api"):
    """An instance is to be destroyed and created again under the same id, or made anew on the server it has."""

    deployment: DeploymentPlan
    in_place: bool = Field(
        default=False, description="keep the server at the provider, its address and its price; wipe its disk"
    )
    keep_state: bool = Field(default=False, description="carry the agent's state and workspace over")


class InstanceDestroyRequested(Event, _InstanceRequest, type="instance.destroy_requested.v1", producer="api"):
    """An instance is to be destroyed for good; from here on its cost is the operator's."""

    requested_at: datetime


class ConfigPublished(Event, type="config.published.v1", producer="api"):
    """A configuration version was published; it is fetched by version and applied by an operation."""

    operation_id: UUID
    version: int
    content_hash: str = Field(description="SHA-256, hex")
    model: str = Field(examples=["openai/gpt-5.2"])
    channel: str = Field(examples=["telegram"])
    plugins: Literal["lean", "full"] = "lean"
    secrets: list[SecretReference] = Field(default_factory=list[SecretReference])


class SecretSealed(Event, type="secret.sealed.v1", producer="api"):
    """A secret was sealed to the provisioner's public key."""

    name: str = Field(examples=["bot_token"])
    version: int
    sealed_hash: str = Field(description="SHA-256 of the sealed bytes, hex")
    sealing_key_id: UUID


class SecretRemoved(Event, type="secret.removed.v1", producer="api"):
    """A secret was taken away; configurations published from now on do not name it."""

    name: str = Field(examples=["bot_token"])
    version: int = Field(description="the newest version that there was")


class AccountCreated(Event, type="account.created.v1", producer="api"):
    """An account exists; its key is the account's id."""

    plan: str = Field(examples=["basic"])


class AccountPlanChanged(Event, type="account.plan_changed.v1", producer="api"):
    """An account has another plan; its key is the account's id."""

    plan: str = Field(examples=["basic"])
