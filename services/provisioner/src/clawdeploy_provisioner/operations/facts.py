"""What stays the same while an operation runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from clawdeploy_events.deployments import DeploymentPlan
from clawdeploy_events.lifecycle import OperationKind


@dataclass(frozen=True, kw_only=True)
class OperationFacts:
    """What stays the same while an operation runs."""

    id: UUID
    instance_id: UUID
    account_id: UUID
    kind: OperationKind
    requested_by: str
    parameters: Mapping[str, Any]
    deployment: DeploymentPlan
    traceparent: str | None = None
    """The trace of the request that asked for it; its steps are spans of it, after a restart too."""
